"""From the groups at a provider to a role and groups here: by the settings' rules, and by nothing else."""

from collections.abc import Collection

from quarterdeck.access import permissions
from quarterdeck.core.actors import Role
from quarterdeck.core.identity_settings import ProviderSettings


def is_member(provider: ProviderSettings, groups: Collection[str]) -> bool:
    """Tell whether somebody is in the required group, where one is."""
    return not provider.required_group or _matches(provider, (provider.required_group,), groups)


def role_by(provider: ProviderSettings, groups: Collection[str]) -> Role | None:
    """Return the highest role that a rule gives, or the default one."""
    given = [Role(role) for role, values in provider.role_rules if _matches(provider, values, groups)]
    best = provider.default_role
    for role in given:
        if permissions.includes(role, best):
            best = role
    return best


def groups_by(provider: ProviderSettings, groups: Collection[str]) -> tuple[str, ...]:
    """Return the groups here, each once and in order."""
    return tuple(
        sorted({group for group, values in provider.group_rules if _matches(provider, values, groups)})
    )


def _matches(provider: ProviderSettings, values: Collection[str], groups: Collection[str]) -> bool:
    if provider.kind == "github":  # where the case of letters means nothing
        return not {value.lower() for value in values}.isdisjoint(group.lower() for group in groups)
    return not set(values).isdisjoint(groups)
