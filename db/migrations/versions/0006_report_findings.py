"""What reports say and deny is kept beside their words; reports of before are read when it is first asked for."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE report ADD COLUMN read_by INTEGER")
    op.execute("CREATE INDEX ix_report_read_by ON report (read_by)")
    op.execute(
        "CREATE TABLE report_finding (report_id INTEGER NOT NULL REFERENCES report (id) ON DELETE CASCADE, "
        "finding VARCHAR NOT NULL, assertion VARCHAR NOT NULL, side VARCHAR NOT NULL, severity VARCHAR NOT NULL, "
        "places VARCHAR NOT NULL, PRIMARY KEY (report_id, finding, assertion, side, severity, places))"
    )
    op.execute("CREATE INDEX ix_report_finding ON report_finding (finding, assertion, report_id)")
