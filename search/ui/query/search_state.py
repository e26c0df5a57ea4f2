"""Keep what a session asks in the page's address: a link restores it, and no session sees another's."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st
from filmroom.search.request import SearchRequest, UploadedFilm, from_parameters, missing_uploads

MOST_UPLOADS = 500


@st.cache_resource(show_spinner=False)
def _uploads() -> dict[str, UploadedFilm]:
    """Return vectors of uploaded films by the id that stands in addresses; in memory until the server stops."""
    return {}


def remember_upload(upload: UploadedFilm) -> None:
    """Make an uploaded film known by its id, so that links and other pages find it."""
    uploads = _uploads()
    if not upload.thumbnail and upload.id in uploads:
        return
    uploads[upload.id] = upload
    for oldest in list(uploads)[: max(0, len(uploads) - MOST_UPLOADS)]:
        uploads.pop(oldest, None)


def request_of_address() -> SearchRequest:
    """Read the request of the page's address."""
    return from_parameters(st.query_params.to_dict(), _uploads())


def lost_uploads() -> list[str]:
    """Name the uploaded films of the page's address that this server does not have any more."""
    return missing_uploads(st.query_params.to_dict(), _uploads())


def film_address(film_id: int, request: SearchRequest | None = None) -> str:
    """Give the address of a film's page, relative to the application's, with the search that led to it."""
    return "film?" + urlencode({"film": str(film_id), **(request.parameters() if request else {})})


def voted(request: SearchRequest, film_id: int, vote: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give (like, unlike) after a vote of +1 or -1; the same vote again takes it back."""
    old = request.votes.get(film_id, 0)
    like = tuple(other for other in request.like if other != film_id)
    unlike = tuple(other for other in request.unlike if other != film_id)
    if vote == old:
        return like, unlike
    return ((*like, film_id), unlike) if vote > 0 else (like, (*unlike, film_id))
