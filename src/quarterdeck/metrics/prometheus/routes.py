"""What Prometheus reads of a master."""

from flask import Blueprint, Response

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import exposition, web
from quarterdeck.core.metrics import Metrics
from quarterdeck.core.ui.pages import Pages
from quarterdeck.hosts.service import Hosts
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.prometheus.hosts import render_hosts

blueprint = Blueprint("prometheus", __name__)


@blueprint.get("/metrics")
@web.allow("metrics.read")
def metrics() -> Response:
    """Answer the node's own figures, and those of the hosts that the reader may read."""
    parts = [web.part(Metrics).render()]
    if web.may("host.read"):
        parts.append(_hosts())
    return Response(exposition.joined(parts), content_type=Metrics.content_type)


@blueprint.get("/metrics/hosts")
@web.allow("host.read")
def host_metrics() -> Response:
    """Answer the hosts alone, also to whoever may read but some of them."""
    return Response(_hosts(), content_type=exposition.CONTENT_TYPE)


def _hosts() -> bytes:
    within = bounds_of(web.actor(), "host.read")
    hosts = web.part(Hosts).list_hosts(within=within)
    return render_hosts(hosts, web.part(Fleet), web.part(Pages).clock.now())
