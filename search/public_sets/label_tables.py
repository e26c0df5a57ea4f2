"""Read the label tables of CheXpert, MIMIC-CXR, VinDr-CXR and PadChest: a Document a film or study, in file order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.indexer.radiology.report_labeler import Statement, qualified
from filmroom.indexer.radiology.vocabulary import NORMAL, finding_of
from filmroom.search.evaluation.grading import Document
from filmroom.search.exchange.fact_columns import FACTS, NO_FINDINGS
from filmroom.search.exchange.tables import Row, plain, read_table, read_text
from filmroom.search.public_sets.views import view_statements

_NO_LABEL = {"", "unchanged", "exclude"}

Labels = tuple[tuple[str, float], ...]


def read_chexpert(path: Path) -> list[Document]:
    """Read CheXpert (and MIMIC-CXR-JPG) label tables: 1 present, 0 absent, -1 uncertain, empty not mentioned."""
    table = read_table(path)
    name = table.need("Path", "dicom_id", "study_id", "Study")
    of_studies = plain(name) in {"study", "study_id"}
    findings = [column for column in table.columns if column and plain(column) not in NO_FINDINGS]
    projection, side = table.column("AP/PA"), table.column("Frontal/Lateral")
    documents = []
    for row in table:
        statements, labels = _columns(row, findings)
        views = view_statements(row.get(projection) or row.get(side))
        film = row.id(name)
        study = ("", film) if of_studies else None
        documents.append(Document(film, (*statements, *views), closed=False, labels=labels, study=study))
    return documents


def read_mimic(path: Path) -> list[Document]:
    """Read MIMIC-CXR: a label table (a row a study), mimic_cxr_sectioned.csv, or the folder of its reports
    (pNN/pNNNNNNNN/sNNNNNNNN.txt)."""
    if path.is_dir():
        studies = [(report, report.study or ("", "")) for report in read_report_folder(path)]
        return [replace(report, study=(bare_number(who), bare_number(which))) for report, (who, which) in studies]
    table = read_table(path)
    patient, study = table.column(*FACTS["patient"]), table.need(*FACTS["study"])
    image, texts = table.column("dicom_id"), [table.column(name) for name in ("findings", "impression")]
    findings = [column for column in table.columns if column and plain(column) not in NO_FINDINGS]
    with_reports = any(texts)
    documents = []
    for row in table:
        who, which = bare_number(row.id(patient)), bare_number(row.id(study))
        statements, labels = ((), ()) if with_reports else _columns(row, findings)
        report = "\n\n".join(f"{name}: {row.get(name)}" for name in texts if name and row.get(name)).replace("_", " ")
        study_name = f"p{who}/s{which}" if who else f"s{which}"
        film = row.get(image)
        documents.append(
            Document(
                film or study_name, statements, closed=False, labels=labels, report=report,
                study=None if film else (who, which),
            )
        )  # fmt: skip
    return documents


def read_report_folder(folder: Path) -> list[Document]:
    """Return every `.txt` below a folder: the report of the film of its name, or of the films in the folder of its
    name, as in MIMIC-CXR. Raises BadInput where there is none."""
    files = sorted(folder.rglob("*.txt"))
    if not files:
        raise BadInput("There is no .txt report in the folder", where=folder)
    documents = []
    for file in files:
        name = file.relative_to(folder).with_suffix("")
        # A folder that was itself named is a part of the name: p10000032/s50414267.txt below .../p10000032.
        path = Path(folder.resolve().name) / name
        *_, who, which = ("", *path.parts)
        documents.append(Document(str(name), (), closed=False, report=read_text(file).strip(), study=(who, which)))
    return documents


def _columns(row: Row, findings: Sequence[str]) -> tuple[tuple[Statement, ...], Labels]:
    """Return what a row says with one column a finding: statements, and the certain ones as labels."""
    statements, labels = [], []
    for column in findings:
        value = row.get(column)
        if not value:
            continue
        number = row.number(column)
        if number not in {1.0, 0.0, -1.0}:
            raise BadInput(f"Unknown value {value} for {column}", where=row.where, fix="Write 1, 0, -1 or nothing")
        statements.append(Statement(finding_of(column), present=number != 0.0, certain=number >= 0.0))
        if number >= 0.0:
            labels.append((column.lower(), number))
    return tuple(statements), tuple(labels)


def bare_number(name: str) -> str:
    """Strip the letter: MIMIC writes a patient as 10000032 or p10000032, a study as 50414267 or s50414267."""
    return re.sub(r"^[ps](?=\d+$)", "", name)


def read_vindr(path: Path) -> list[Document]:
    """Read VinDr-CXR: annotations_*.csv (a box a row) or image_labels_*.csv (a column a finding). `votes` are the
    radiologists who named the finding; the test set's consensus counts as one."""
    table = read_table(path)
    name, reader, label = table.need("image_id"), table.column("rad_id", "rad_ID"), table.column("class_name")
    votes: dict[str, dict[str, set[str]]] = {}
    for row in table:
        image = votes.setdefault(row.get(name), {})
        findings = [row.get(label)] if label else _ones(row, skip={name, reader})
        for finding in filter(None, findings):
            image.setdefault(finding, set()).add(row.get(reader))
    return [_voted(image, findings) for image, findings in votes.items()]


def _voted(image: str, findings: dict[str, set[str]]) -> Document:
    voters: dict[str, set[str]] = {}
    for finding, readers in findings.items():
        voters.setdefault(finding_of(finding), set()).update(readers)
    statements = tuple(Statement(idea, votes=len(readers)) for idea, readers in voters.items())
    # Where one radiologist found something, another's "No finding" is no label of the film.
    labels = [finding for finding in findings if finding_of(finding) != NORMAL] or list(findings)
    return Document(image, statements, labels=tuple((finding.lower(), 1.0) for finding in labels))


def read_padchest(path: Path) -> list[Document]:
    """Read PadChest: sentences of labels and places (LabelsLocalizationsBySentence), or else the plain Labels."""
    table = read_table(path)
    name, view = table.need("ImageID"), table.column("Projection", "ViewPosition_DICOM")
    sentences, labels, report = (
        table.column("LabelsLocalizationsBySentence"),
        table.need("Labels"),
        table.column("Report"),
    )
    documents = []
    for row in table:
        groups = [_quoted(part) for part in re.findall(r"\[([^\[\]]*)\]", row.get(sentences))]
        groups = [group for group in groups if group] or [[label] for label in _quoted(row.get(labels))]
        statements: list[Statement] = []
        for group in groups:
            where = " ".join(part[4:] for part in group if part.startswith("loc "))
            findings = [part.strip() for part in group if part.strip() and not part.startswith("loc ")]
            statements += [
                replace(qualified(finding_of(finding), f"{finding} {where}"), certain=True)
                for finding in findings
                if finding not in _NO_LABEL
            ]
        names = dict.fromkeys(label.strip().lower() for label in _quoted(row.get(labels)))
        present = tuple((label, 1.0) for label in names if label not in _NO_LABEL)
        views = view_statements(row.get(view))
        documents.append(
            Document(row.get(name), (*dict.fromkeys(statements), *views), labels=present, report=row.get(report))
        )
    return documents


def _quoted(listed: str) -> list[str]:
    """Return the texts of a list that Python wrote: 'pleural effusion', or "Kerley's lines"."""
    return [single or double for single, double in re.findall(r"""'([^']*)'|"([^"]*)\"""", listed)]


def _ones(row: Row, *, skip: set[str | None]) -> list[str]:
    return [column for column, value in row.values.items() if column not in skip and value.strip() in {"1", "1.0"}]
