"""Run Alembic: the connection comes from `filmroom.db.migrate`, inside its transaction."""

from alembic import context
from filmroom.db.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
