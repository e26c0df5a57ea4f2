"""Say which names people may give: what they type stands in lists, tables and files, on one line each."""

from __future__ import annotations

import unicodedata

from filmroom.db.errors import BadInput

_LONGEST = 80
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of characters, and what breaks a line


def check_name(name: str, of: str) -> str:
    """Return a name without the blanks around it; `of` says whose, such as "a collection".

    Raises BadInput for a name that is empty, too long, or would not stand on one line wherever it is shown.
    """
    name = name.strip()
    if not name:
        raise BadInput(f"{of} needs a name", fix="Type one.")
    if len(name) > _LONGEST:
        raise BadInput(f"the name of {of} has at most {_LONGEST} letters", fix="Choose a shorter one.")
    check_letters(name, f"the name of {of}")
    return name


def check_letters(text: str, subject: str) -> None:
    """Raise BadInput for a line of text with letters that nobody sees, or that break it; `what` says what it is."""
    if any(unicodedata.category(letter) in _UNSEEN for letter in text):
        raise BadInput(f"{subject} holds a character that cannot be seen", fix="Type another one.")
