"""Toasts for programs."""

from datetime import datetime

from apiflask import APIBlueprint
from pydantic import BaseModel

from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.notify.forms import ToastBody
from quarterdeck.notify.models import ToastLevel
from quarterdeck.notify.service import Toasts

blueprint = APIBlueprint("notify_api", __name__, url_prefix="/api/v1", tag="Toasts")


class SentOut(BaseModel, title="SentToast"):
    id: str


class ToastOut(BaseModel):
    id: str
    text: str
    level: ToastLevel
    link: str
    created_at: datetime
    by: str
    is_unread: bool


class ToastsOut(BaseModel, title="ToastList"):
    toasts: list[ToastOut]


@blueprint.post("/toasts")
@blueprint.input(ToastBody, arg_name="body")
@blueprint.output(SentOut, status_code=202)
@blueprint.doc(summary="Send a toast to a person, a role or all")
@web.allow("toast.send")
def toast_send(body: ToastBody) -> SentOut:
    toast = web.part(Toasts).send(
        web.actor(),
        body.text,
        level=body.level,
        person_id=person_id_of(web.part(Access), body.person),
        role=body.role,
        link=body.link,
    )
    return SentOut(id=toast.id)


@blueprint.get("/toasts")
@blueprint.output(ToastsOut)
@blueprint.doc(summary="The caller's toasts, newest first")
@web.allow("toast.read")
def toast_list() -> ToastsOut:
    toasts = web.part(Toasts).recent(web.actor())
    return ToastsOut(toasts=[ToastOut.model_validate(toast, from_attributes=True) for toast in toasts])


def person_id_of(access: Access, name: str | None) -> str | None:
    """Return the id of the person that a toast is for; raises Invalid for an unknown name."""
    if name is None:
        return None
    try:
        return access.person(name).id
    except NotFound as error:
        raise Invalid({"person": "There is no person of this name."}) from error
