"""Name the columns of films' facts in tables, those of the public sets included."""

from __future__ import annotations

FILM = (
    "film", "image", "image_id", "image index", "imageid", "dicom_id", "file", "filename", "file_name", "path",
    "instance_uid", "sopinstanceuid", "uid",
)  # fmt: skip
"""Columns that name a film."""

FACTS: dict[str, tuple[str, ...]] = {
    "patient": ("patient", "patient_id", "patientid", "subject_id", "subject"),
    "study": ("study", "study_uid", "studyinstanceuid", "study_instance_uid", "study_id", "studyid"),
    "view": ("view", "view_position", "viewposition", "viewposition_dicom", "projection", "ap_pa", "frontal_lateral"),
    "sex": ("sex", "gender", "patient_sex", "patientsex", "patient_gender", "patientsex_dicom"),
    "age": ("age", "patient_age", "patientage"),
    "year": ("year", "study_year", "study_date", "studydate", "studydate_dicom"),
    "split": ("split", "subset", "partition"),
}
"""Columns by the fact that they hold, the most telling first."""

BIRTH = ("patientbirth", "birth_year", "year_of_birth")
"""The year of birth, from which PadChest's ages follow."""

NO_FINDINGS = frozenset({
    *FILM, *BIRTH, *(name for names in FACTS.values() for name in names), "follow_up", "originalimage_width",
    "originalimage_height", "height", "width", "rows", "columns", "rad_id", "unnamed_0", "index", "id", "report",
    "image_index", "view_position", "originalimagepixelspacing_x", "y",
})  # fmt: skip
"""Columns, in plain spelling, that stand beside those of findings and are none."""
