"""Readers for the tables of public chest X-ray sets. Each gives one Document a film, in the file's own order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from filmroom.db.errors import BadInput
from filmroom.indexer.radiology.report_labeler import Statement, qualified, qualifies, read_report
from filmroom.indexer.radiology.vocabulary import NORMAL, finding_of, view_finding
from filmroom.search.evaluation.grading import Document
from filmroom.search.exchange.tables import Row, read_table, read_text

_NIH_SIZE = 1024.0  # the boxes of ChestX-ray14 are in pixels of its 1024 x 1024 files
_ANATOMY = {
    *("aorta", "aorta, thoracic", "bone and bones", "clavicle", "costophrenic angle", "diaphragm", "heart"),
    *("hilum", "humerus", "lumbar vertebrae", "lung", "markings", "mediastinum", "pulmonary artery", "ribs"),
    *("shoulder", "spine", "sternum", "thoracic vertebrae", "thorax", "trachea", "cardiophrenic angle"),
}
_YES_NO = {"yes": True, "no": False, "1": True, "0": False, "1.0": True, "0.0": False}


def read_nih(entries: Path, *, boxes: Path | None = None, adjudicated: Path | None = None) -> list[Document]:
    """NIH ChestX-ray14: Data_Entry_2017*.csv; BBox_List_2017.csv gives sides and zones; four_findings_expert_labels
    (Majkowska et al. 2020) decide airspace opacity, pneumothorax, fracture, nodule or mass.

    Where the radiologists contradict a label it stays, uncertain (grade 1).
    """
    table = read_table(entries)
    name, labels = table.need("Image Index"), table.need("Finding Labels")
    view = table.column("View Position")
    placed = _nih_boxes(boxes) if boxes else {}
    judged = _adjudicated(adjudicated) if adjudicated else {}
    documents = []
    for row in table:
        image = row.get(name)
        if not image:
            raise BadInput("The row names no image", where=row.where)
        found = [Statement(finding_of(label)) for label in row.get(labels).split("|") if label]
        boxed = {one.idea for one in placed.get(image, ())}
        found = [*placed.get(image, ()), *(one for one in found if one.idea not in boxed)]
        documents.append(Document(image, _decided(found, judged.get(image, {})) + view_statements(row.get(view))))
    return documents


def read_chexpert(path: Path) -> list[Document]:
    """CheXpert (and MIMIC-CXR-JPG) label tables: 1 present, 0 absent, -1 uncertain, empty not mentioned."""
    table = read_table(path)
    name = table.need("Path", "dicom_id", "study_id")
    first = {"path", "sex", "age", "frontal_lateral", "ap_pa", "dicom_id", "study_id", "subject_id", "split"}
    findings = [column for column in table.columns if re.sub(r"\W+", "_", column.lower()) not in first and column]
    projection, side = table.column("AP/PA"), table.column("Frontal/Lateral")
    documents = []
    for row in table:
        statements = []
        for column in findings:
            value = row.get(column)
            if not value:
                continue
            if value not in {"1", "1.0", "0", "0.0", "-1", "-1.0"}:
                raise BadInput(f"Unknown value {value} for {column}", where=row.where, fix="Write 1, 0, -1 or nothing")
            number = float(value)
            statements.append(Statement(finding_of(column), present=number != 0.0, certain=number >= 0.0))
        documents.append(
            Document(row.get(name), (*statements, *view_statements(row.get(projection) or row.get(side))), closed=False)
        )
    return documents


def read_vindr(path: Path) -> list[Document]:
    """VinDr-CXR: annotations_*.csv (a box a row) or image_labels_*.csv (a column a finding). `votes` are the
    radiologists who named the finding; the test set's consensus counts as one."""
    table = read_table(path)
    name, reader, label = table.need("image_id"), table.column("rad_id", "rad_ID"), table.column("class_name")
    votes: dict[str, dict[str, set[str]]] = {}
    for row in table:
        image = votes.setdefault(row.get(name), {})
        named = [row.get(label)] if label else _ones(row, skip={name, reader})
        for finding in named:
            image.setdefault(finding_of(finding), set()).add(row.get(reader))
    return [
        Document(image, tuple(Statement(idea, votes=len(readers)) for idea, readers in found.items()))
        for image, found in votes.items()
    ]


def read_padchest(path: Path) -> list[Document]:
    """PadChest: sentences of labels and places (LabelsLocalizationsBySentence), or else the plain Labels."""
    table = read_table(path)
    name, view = table.need("ImageID"), table.column("Projection", "ViewPosition_DICOM")
    sentences, labels = table.column("LabelsLocalizationsBySentence"), table.need("Labels")
    documents = []
    for row in table:
        groups = [re.findall(r"'([^']*)'", part) for part in re.findall(r"\[([^\[\]]*)\]", row.get(sentences))]
        groups = [group for group in groups if group] or [
            [label] for label in re.findall(r"'([^']*)'", row.get(labels))
        ]
        statements: list[Statement] = []
        for group in groups:
            where = " ".join(part[4:] for part in group if part.startswith("loc "))
            findings = [part.strip() for part in group if part.strip() and not part.startswith("loc ")]
            statements += [
                replace(qualified(finding_of(finding), f"{finding} {where}"), certain=True)
                for finding in findings
                if finding not in {"unchanged", "exclude"}
            ]
        documents.append(Document(row.get(name), (*dict.fromkeys(statements), *view_statements(row.get(view)))))
    return documents


def read_open_i(path: Path, *, projections: Path | None = None) -> list[Document]:
    """Open-i / Indiana: a folder of its XML reports, or indiana_reports.csv (or JSON lines with `mesh`).

    MeSH strings carry the qualifiers ("Pulmonary Atelectasis/base/left/mild"); the report's own denials are added.
    The films are the XML's images, those of indiana_projections.csv, or else the report itself.
    """
    films = _projections(projections) if projections else {}
    reports = _open_i_xml(path) if path.is_dir() else _open_i_table(path)
    documents = []
    for report, images, mesh, text in reports:
        coded = tuple(one for term in mesh for one in _mesh(term))
        denied = tuple(one for one in read_report(text) if not one.present)
        pictures = films.get(report) or [(image, "") for image in images] or [(report, "")]
        documents += [Document(image, (*coded, *denied, *view_statements(view))) for image, view in pictures]
    return documents


def read_reports(path: Path) -> list[Document]:
    """Any table or JSON lines with a film and its report (`report`, or `findings` and `impression`)."""
    table = read_table(path)
    name = table.need("film", "path", "image_id", "instance_uid", "study_uid", "report_id", "id")
    texts = [table.column(column) for column in ("report", "text", "findings", "impression")]
    if not any(texts):
        table.need("report", "text", "findings")
    return [
        Document(row.get(name), read_report(". ".join(row.get(text) for text in texts if row.get(text))), closed=False)
        for row in table
    ]


def read_labels(path: Path) -> list[Document]:
    """Any table with a film and its `labels` joined with "|" or ";", or one `label` a row with a `value` of 0 to 1."""
    table = read_table(path)
    name = table.need("film", "path", "image_id", "instance_uid", "id")
    several, single, value = table.column("labels"), table.column("label", "finding"), table.column("value")
    if several is None and single is None:
        table.need("labels", "label")
    found: dict[str, list[Statement]] = {}
    stated = False
    for row in table:
        statements = found.setdefault(row.get(name), [])
        if several is not None:
            statements += [Statement(finding_of(part)) for part in re.split(r"[|;]", row.get(several)) if part.strip()]
            continue
        number = _value(row, value)
        stated = stated or number < 0.5
        statements.append(Statement(finding_of(row.get(single)), present=number >= 0.5))
    return [Document(film, tuple(statements), closed=not stated) for film, statements in found.items()]


READERS: dict[str, Callable[[Path], list[Document]]] = {
    "nih": read_nih,
    "chexpert": read_chexpert,
    "vindr": read_vindr,
    "padchest": read_padchest,
    "open-i": read_open_i,
    "reports": read_reports,
    "labels": read_labels,
}
"""The sets by name; `read_nih` and `read_open_i` take further files."""


def _value(row: Row, column: str | None) -> float:
    said = row.get(column)
    try:
        number = float(said) if said else 1.0
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise BadInput(f"The value {said} is not between 0 and 1", where=row.where)
    return number


def view_statements(name: str) -> tuple[Statement, ...]:
    """What a view position says of a film; nothing where it is not known."""
    idea = view_finding(name)
    return (Statement(idea),) if idea else ()


def _ones(row: Row, *, skip: set[str | None]) -> list[str]:
    return [column for column, value in row.values.items() if column not in skip and value.strip() in {"1", "1.0"}]


def _nih_boxes(path: Path) -> dict[str, list[Statement]]:
    table = read_table(path)
    name, label = table.need("Image Index"), table.need("Finding Label")
    columns = [table.need("Bbox [x", "x"), table.need("y"), table.need("w"), table.need("h", "h]")]
    found: dict[str, list[Statement]] = {}
    for row in table:
        try:
            x, y, width, height = (float(row.get(column)) for column in columns)
        except ValueError:
            raise BadInput("A box needs four numbers", where=row.where) from None
        across, down = (x + width / 2) / _NIH_SIZE, (y + height / 2) / _NIH_SIZE
        wide = x / _NIH_SIZE < 0.45 and (x + width) / _NIH_SIZE > 0.55
        side = "" if wide else "right" if across < 0.5 else "left"  # the patient's right is at the picture's left
        zone = ("upper", "middle", "lower")[min(2, int(down * 3))]
        found.setdefault(row.get(name), []).append(
            Statement(finding_of(row.get(label)), side=side, places=frozenset({zone}))
        )
    return found


def _adjudicated(path: Path) -> dict[str, dict[str, bool]]:
    table = read_table(path)
    name = table.need("Image Index", "Image ID")
    columns = {table.need(label): label for label in _GOOGLE}
    found: dict[str, dict[str, bool]] = {}
    for row in table:
        for column, label in columns.items():
            said = row.get(column).lower()
            if said not in _YES_NO:
                raise BadInput(f"Unknown value {row.get(column)} for {column}", where=row.where, fix="Write YES or NO")
            found.setdefault(row.get(name), {})[label] = _YES_NO[said]
    return found


_GOOGLE = {
    "Airspace opacity": ("pneumonia", "consolidation", "infiltration"),
    "Nodule or mass": ("nodule", "mass"),
    "Pneumothorax": ("pneumothorax",),
    "Fracture": ("fracture",),
}


def _decided(found: Iterable[Statement], judged: dict[str, bool]) -> tuple[Statement, ...]:
    denied = {idea for label, yes in judged.items() if not yes for idea in _GOOGLE[label]}
    kept = [replace(one, certain=one.idea not in denied) for one in found]
    have = {one.idea for one in kept}
    said = [Statement(finding_of(label), present=yes) for label, yes in judged.items() if finding_of(label) not in have]
    normal = [one for one in kept if one.idea != NORMAL or not any(judged.values())]
    return (*normal, *said)


def _mesh(term: str) -> tuple[Statement, ...]:
    head, *parts = (part.strip().lower() for part in term.split("/"))
    if head in {"", "no indexing", "technical quality of image unsatisfactory"}:
        return ()
    rest = " ".join(parts)
    if head == "cardiac shadow" and "enlarged" in parts:
        idea = "cardiomegaly"
    elif head in _ANATOMY:  # "Aorta/tortuous": the finding is what is said of the part
        said = [part for part in parts if not qualifies(part)]
        if not said:
            return ()
        idea = finding_of(f"{said[-1]} {head.split(',')[0]}")
    else:
        idea = finding_of(head)
    return (replace(qualified(idea, rest), certain="possible" not in parts),)


def _open_i_table(path: Path) -> Iterator[tuple[str, list[str], list[str], str]]:
    table = read_table(path)
    name, mesh = table.need("uid", "report_id"), table.need("MeSH", "mesh")
    texts = [table.column("findings"), table.column("impression")]
    for row in table:
        yield row.get(name), [], row.get(mesh).split(";"), ". ".join(row.get(text) for text in texts)


def _open_i_xml(folder: Path) -> Iterator[tuple[str, list[str], list[str], str]]:
    files = sorted(folder.rglob("*.xml"))
    if not files:
        raise BadInput("There is no XML report in the folder", where=folder)
    for file in files:
        content = read_text(file)
        if "<!ENTITY" in content:
            raise BadInput("The report declares entities", where=file, fix="Use the files as they are published")
        try:
            root = ElementTree.fromstring(content.encode("utf-8"))  # noqa: S314  entities were refused above
        except ElementTree.ParseError:
            raise BadInput("This is not an XML report", where=file) from None
        found = root.find("uId")
        report = found.get("id", file.stem) if found is not None else file.stem
        mesh = [one.text or "" for one in root.findall("./MeSH/major")]
        texts = [one.text or "" for one in root.iter("AbstractText") if one.get("Label") in {"FINDINGS", "IMPRESSION"}]
        yield report, [one.get("id", "") for one in root.findall("parentImage")], mesh, ". ".join(texts)


def _projections(path: Path) -> dict[str, list[tuple[str, str]]]:
    table = read_table(path)
    name, file, view = table.need("uid"), table.need("filename"), table.column("projection")
    found: dict[str, list[tuple[str, str]]] = {}
    for row in table:
        found.setdefault(row.get(name), []).append((row.get(file), row.get(view)))
    return found
