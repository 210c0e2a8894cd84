"""Jobs of the checks against manipulation: what they look at, as plain data, once the pictures are drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

from snellen.jobs import Job
from snellen.models import Unit
from snellen.studies.choice import Chosen
from snellen.studies.drawings import settings_of
from snellen.studies.world import World

Entry = Mapping[str, Any]
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "photograph": {"start": "photograph"},
    "pixel": {"canvas": "pixel"},
    "adam": {"optimizer": "adam"},
    "grey": {"start": "grey"},
}
"""Ways of drawing beside the audit's own, by what they change."""
_BACKWARD, _GRID, _FOLLOWED = 3.0, 17, 30  # cost of a picture's step; images on a way and in the halvings


def scan_job(world: World, shown: Sequence[Entry]) -> Job | None:
    """Which channels photographs and pictures wake. Photographs: evenly chosen ones, and the top ones of every unit."""
    if not shown:
        return None
    count = min(len(world.images), world.request.scale.compared)
    even = [i * len(world.images) // count for i in range(count)]
    natural = sorted({*even, *(i for entry in shown for i in entry["top"][: world.request.scale.own])})
    spec = {"world": world.identity, "natural": natural, "units": _units(shown), "seed": world.request.seed}
    return Job("scan", spec, title="silent channels", cost=1.5 * len(natural) + 2.0 * len(shown))


def walk_job(world: World, shown: Sequence[Entry]) -> Job | None:
    """Ways to every picture from the unit's top photographs."""
    if not shown:
        return None
    units = [{**entry, "from": list(entry["top"][: world.request.scale.walks])} for entry in _units(shown)]
    walks = sum(len(unit["from"]) for unit in units)
    return Job(
        "walk", {"world": world.identity, "units": units}, ("result",), "jumps", float(walks * (_GRID + _FOLLOWED))
    )


def agree_job(world: World, shown: Sequence[Entry]) -> Job | None:
    """Pictures and top photographs in features of the layer before."""
    if not shown:
        return None
    own = world.request.scale.own
    families = [
        {"layer": layer, "space": space_of(world, layer), "units": members}
        for layer, members in by_layer([{**entry, "top": entry["top"][:own]} for entry in _units(shown)]).items()
    ]
    spec = {"world": world.identity, "families": families, "seed": world.request.seed}
    return Job("agree", spec, ("result",), "agreement", 2.0 * own * len(shown))


def vary_jobs(world: World, shown: Sequence[Entry], chosen: Chosen) -> tuple[Job, ...]:
    """Drawings of a few units in other ways, one job for each way and layer."""
    steps = max(16, settings_of(world).steps // 4)
    jobs = []
    for layer, members in by_layer(_varied(world, shown, chosen)).items():
        for name in list(VARIANTS)[: world.request.scale.variants]:
            units = [{"unit": e["unit"], "from": e["top"][0]} for e in members]
            spec = {
                "world": world.identity,
                "units": units,
                "variant": name,
                "changes": dict(VARIANTS[name]),
                "steps": steps,
                "seed": world.request.seed,
            }
            parts = tuple(e["unit"] for e in units)
            jobs.append(Job("vary", spec, parts, f"{layer} drawn otherwise ({name})", _BACKWARD * len(units) * steps))
    return tuple(jobs)


def procedure_job(world: World, shown: Sequence[Entry], varied: Mapping[str, Mapping[str, Entry]]) -> Job | None:
    """The comparison of all ways of drawing.

    Args:
        world: model and images.
        shown: units with a picture.
        varied: results of `vary_jobs`, by unit and by name of the way.
    """
    units = [{**entry, "variants": varied[entry["unit"]]} for entry in _units(shown) if entry["unit"] in varied]
    if not units:
        return None
    courses = [{"layer": n, "space": space_of(world, n), "units": members} for n, members in by_layer(units).items()]
    pictures = sum(1 + len(unit["variants"]) for unit in units)
    return Job("procedure", {"world": world.identity, "courses": courses}, ("result",), "procedures", float(pictures))


def space_of(world: World, layer: str) -> str | None:
    """The main layer that ends last before a layer ends and is no part of it; None before the first one."""
    before: str | None = None
    for known in world.layers:
        if known.name == layer:
            break
        if known.main and not known.name.startswith(f"{layer}."):
            before = known.name
    return before


def by_layer(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries of units by layer, in order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(Unit.parse(entry["unit"]).layer, []).append(entry)
    return found


def _units(shown: Sequence[Entry]) -> list[dict[str, Any]]:
    """What the jobs are told of a unit: its picture, its top photographs, and under which key all responses lie."""
    return [{name: entry[name] for name in ("unit", "image", "response", "top", "seen")} for entry in shown]


def _varied(world: World, shown: Sequence[Entry], chosen: Chosen) -> list[Entry]:
    """Evenly chosen class units, and those of the middle inner layer."""
    known = {entry["unit"]: entry for entry in shown}
    classes = [known[str(u)] for u in chosen.classes if str(u) in known]
    inner = list(by_layer([known[str(u)] for u in chosen.inner if str(u) in known]).values())
    groups = [classes, *inner[len(inner) // 2 :][:1]]
    most = world.request.scale.varied
    picked = [[g[i * len(g) // min(len(g), most)] for i in range(min(len(g), most))] for g in groups if len(g) > 1]
    return [entry for group in picked for entry in group]
