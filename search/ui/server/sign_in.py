"""Decide who has signed in, from the claims of an OpenID Connect token."""

from __future__ import annotations

from collections.abc import Mapping


def admitted(claims: Mapping[str, object], settings: Mapping[str, object]) -> bool:
    """Return True for the claims of somebody who signed in, in a token that was made for this application.

    Authlib takes a token for somebody else where its `azp` names us; here the audience itself must (OpenID Connect
    Core 3.1.3.7, 3).
    """
    if claims.get("is_logged_in") is not True:
        return False
    provider = settings.get(str(claims.get("provider", "")))
    client = (provider if isinstance(provider, Mapping) else settings).get("client_id")
    audience = claims.get("aud")
    return client is not None and client in (audience if isinstance(audience, list) else [audience])
