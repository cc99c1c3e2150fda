"""The whole examination: what can be looked at, in order, and how bad it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

from backends.parallel import at_once
from cacheapi.caching.service import CacheService
from cacheapi.commands.diagnosis import machine, running, services
from cacheapi.commands.diagnosis.findings import Finding, Level
from cacheapi.commands.diagnosis.services import ServiceReport
from cacheapi.commands.failures import Exit
from cacheapi.registry import overlaps
from cacheapi.registry.environment import SYSTEM_CACHE, key_file, system_cache
from cacheapi.registry.live import Registry
from cacheapi.registry.opening import open_registry
from cacheapi.settings import Explained, Settings, SettingsError, explain, load

_CODES: Final = {Level.FAILURE: Exit.FAILED, Level.WARNING: Exit.NO, Level.ADVICE: Exit.DONE}


class Examination:
    """What there was to see, and what was found."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.settings: list[Explained] = []
        self.directory: dict[str, Any] | None = None
        self.database: dict[str, Any] | None = None
        self.services: list[ServiceReport] = []

    @property
    def code(self) -> Exit:
        """How the command ends."""
        worst = min((finding.level for finding in self.findings), default=Level.ADVICE)
        return _CODES[worst]

    def shown(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "findings": [finding.shown() for finding in self.findings],
            "settings": [machine.shown(each)._asdict() for each in self.settings],
            "data_directory": self.directory,
            "database": self.database,
            "services": [
                {
                    name: value
                    for name, value in dataclasses.asdict(each).items()
                    if name != "findings"
                }
                for each in self.services
            ],
        }

    def run(self) -> None:
        """Look at everything that can be looked at."""
        self.findings += machine.python_findings()
        try:
            self.settings, warnings = explain()
            self.findings += machine.setting_findings(self.settings, warnings)
            settings = load()
        except SettingsError as error:
            if not self.findings:
                self._cannot_start(error)
        else:
            self.findings += machine.together_findings(settings)
            self._look_further(settings)
        self.findings.sort(key=lambda finding: finding.level)

    def _look_further(self, settings: Settings) -> None:
        self.directory, found = machine.directory(settings)
        self.findings += found
        try:
            if not self.directory["exists"] or "free_bytes" not in self.directory:
                self._look_without_directory(settings)
                return
            # The first start makes the API key, and this is none.
            asks = bool(settings["CACHEAPI_API_KEY"]) or key_file(settings).exists()
            registry = open_registry(settings, asks=asks)
        except SettingsError as error:
            self._cannot_start(error)
            return
        try:
            self.database, found = machine.database(registry, settings)
            self.findings += found
            self._look_at_definitions(registry)
            definitions = registry.snapshot.definitions
            self._look_at_services(
                ([name, *definitions[name].aliases], service)
                for name, service in registry.snapshot.services.items()
            )
            self._look_at_remotes(registry)
            self.findings += running.look(settings, definitions[SYSTEM_CACHE].type)
        finally:
            registry.close()

    def _look_without_directory(self, settings: Settings) -> None:
        """Look at the system cache alone, and make nothing."""
        if settings["CACHE_DRIVER"] == "file":
            return
        system = system_cache(settings)
        names = dict.fromkeys((system.name, system.backend.service_name))
        self._look_at_services([(list(names), system)])
        system.backend.close()

    def _look_at_definitions(self, registry: Registry) -> None:
        shared = registry.snapshot.overlaps.once()
        for definition in registry.snapshot.definitions.values():
            where = f"service {definition.name}"
            for message in shared.get(definition.name, []):
                self.findings.append(Finding(Level.WARNING, where, message, overlaps.ACTION))
            if definition.fault is not None:
                action = (
                    "Correct its settings, in the console or with PATCH /api/v2/system/service."
                )
                self.findings.append(Finding(Level.FAILURE, where, definition.fault, action))

    def _look_at_services(self, found: Iterable[tuple[list[str], CacheService]]) -> None:
        self.services = at_once(lambda pair: services.look(*pair), list(found))
        for report in self.services:
            self.findings += report.findings

    def _look_at_remotes(self, registry: Registry) -> None:
        snapshot = registry.snapshot
        if not snapshot.remotes:
            return
        # It brings an event loop, which takes a while to import.
        from cacheapi.commands.diagnosis import remotes

        found = [
            ([name, *snapshot.definitions[name].aliases], remote, registry.find(remote.cache))
            for name, remote in snapshot.remotes.items()
        ]
        reports = at_once(lambda one: remotes.look(*one), found)
        self.services += reports
        for report in reports:
            self.findings += report.findings

    def _cannot_start(self, error: SettingsError) -> None:
        action = "The service does not start until this is right."
        self.findings.append(Finding(Level.FAILURE, "settings", str(error), action))
