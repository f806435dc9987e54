"""The server itself, users, tokens, organizations."""

import re

from tests.cvat_double import lists
from tests.cvat_double.answers import REQUIRED, Answer, as_json, detail, empty, missing, refuse
from tests.cvat_double.calls import Call, route
from tests.cvat_double.state import PASSWORD


@route("GET", "/server/about")
def about(call: Call) -> Answer:
    """Name and version."""
    return as_json(
        {
            "name": "Computer Vision Annotation Tool",
            "description": "A double of CVAT for tests: a stand-in, not CVAT.",
            "version": call.state.options.version,
            "logo_url": f"{call.state.base}/static/logo.svg",
            "subtitle": "Open Data Annotation Platform",
        }
    )


@route("GET", "/server/health/")
def health(call: Call) -> Answer:
    """The parts of the server."""
    parts = (
        "Cache backend: default",
        "DatabaseBackend",
        "OPAHealthCheck",
    )
    return as_json({part: "working" for part in parts})


@route("GET", "/users/self")
def me(call: Call) -> Answer:
    """The user of the token."""
    person = call.state.person(call.user_id)
    username = person["username"]
    return as_json(
        {
            **person,
            "email": f"{username}@example.com",
            "groups": ["admin"],
            "is_staff": True,
            "is_superuser": True,
            "is_active": True,
            "last_login": call.state.date(),
            "date_joined": call.state.date(),
            "has_analytics_access": True,
        }
    )


@route("GET", "/users")
def users(call: Call) -> Answer:
    """All users."""
    people = [call.state.person(user_id) for user_id in call.state.users]
    return lists.answer("users", people, call.query, call.url)


@route("POST", "/auth/login")
def login(call: Call) -> Answer:
    """A login key, the same until logout."""
    data = call.json()
    name = data.get("username") or str(data.get("email", "")).partition("@")[0]
    if not name or "password" not in data:
        raise refuse(['Must include either "username" or "email" and "password".'])
    for user in call.state.users.values():
        if user["username"] == name and data["password"] == PASSWORD:
            call.state.keys.setdefault(user["key"], user["id"])
            return as_json({"key": user["key"]}, **{"Set-Cookie": "sessionid=cookie; HttpOnly; Path=/; SameSite=Lax"})
    raise refuse({"non_field_errors": ["Unable to log in with provided credentials."]})


@route("POST", "/auth/logout")
def logout(call: Call) -> Answer:
    """The login key ends."""
    call.state.keys = {key: user for key, user in call.state.keys.items() if user != call.user_id}
    return as_json({"detail": "Successfully logged out."})


@route("POST", "/auth/access_tokens")
def create_token(call: Call) -> Answer:
    """A personal access token; its value shows here only."""
    data = call.json()
    if "name" not in data:
        raise refuse({"name": [REQUIRED]})
    value = f"double-pat-{len(call.state.tokens) + 1}"
    token = call.state.add_token(
        call.user_id, value, data["name"], data.get("expiry_date"), bool(data.get("read_only"))
    )
    return as_json({**_shown(token), "value": value}, 201)


@route("GET", "/auth/access_tokens")
def tokens(call: Call) -> Answer:
    """The user's tokens."""
    own = [token for token in call.state.tokens.values() if token["_user"] == call.user_id]
    return lists.answer("access_tokens", own, call.query, call.url)


@route("GET", "/auth/access_tokens/self")
def own_token(call: Call) -> Answer:
    """The token of this call."""
    value = call.headers.get("Authorization", "").partition(" ")[2]
    if value not in call.state.tokens:
        raise missing("AccessToken")
    token = call.state.tokens[value]
    return as_json({**_shown(token), "read_only": token["read_only"] or call.state.options.read_only_token})


@route("GET", r"/auth/access_tokens/(\d+)")
def one_token(call: Call, token_id: int) -> Answer:
    """One token."""
    return as_json(_shown(call.state.tokens[_value(call, token_id)]))


@route("PATCH", r"/auth/access_tokens/(\d+)")
def rename_token(call: Call, token_id: int) -> Answer:
    """Another name."""
    token = call.state.tokens[_value(call, token_id)]
    token["name"] = call.json().get("name", token["name"])
    call.state.touch(token)
    return as_json(_shown(token))


@route("DELETE", r"/auth/access_tokens/(\d+)")
def revoke_token(call: Call, token_id: int) -> Answer:
    """Revoke."""
    del call.state.tokens[_value(call, token_id)]
    return empty()


def _value(call: Call, token_id: int) -> str:
    for value, token in call.state.tokens.items():
        if token["id"] == token_id and token["_user"] == call.user_id:
            return value
    raise missing("AccessToken")


def _shown(token: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in token.items() if not key.startswith("_")}


@route("POST", "/organizations")
def create_organization(call: Call) -> Answer:
    """A new organization."""
    state, data = call.state, call.json()
    slug = str(data.get("slug", ""))
    if not re.fullmatch(r"[-\w]+", slug):
        raise refuse({"slug": ['Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.']})
    if any(organization["slug"] == slug for organization in state.organizations.values()):
        raise refuse({"slug": ["organization with this slug already exists."]})
    date = state.date()
    organization = {
        "id": state.next_id("organization"),
        "slug": slug,
        "name": data.get("name", slug),
        "description": data.get("description", ""),
        "created_date": date,
        "updated_date": date,
        "contact": data.get("contact", {}),
        "owner": state.person(call.user_id),
    }
    state.organizations[organization["id"]] = organization
    return as_json(organization, 201)


@route("GET", "/organizations")
def organizations(call: Call) -> Answer:
    """All organizations."""
    return lists.answer("organizations", call.state.organizations.values(), call.query, call.url)


@route("DELETE", r"/organizations/(\d+)")
def delete_organization(call: Call, organization_id: int) -> Answer:
    """Its projects stay, without an organization."""
    state = call.state
    if state.organizations.pop(organization_id, None) is None:
        raise detail("No Organization matches the given query.", 404)
    for record in [*state.projects.values(), *(task.record for task in state.tasks.values())]:
        if record["organization"] == organization_id:
            record["organization"] = record["organization_id"] = None
    return empty()


@route("GET", "/memberships")
def memberships(call: Call) -> Answer:
    """The owner is a member of each organization."""
    found = [
        {
            "id": organization["id"],
            "user": organization["owner"],
            "organization": organization["id"],
            "is_active": True,
            "joined_date": organization["created_date"],
            "role": "owner",
            "invitation": None,
        }
        for organization in call.state.organizations.values()
        if call.every_context or organization["id"] == call.organization
    ]
    return lists.answer("memberships", found, call.query, call.url)
