"""The compose file: valid YAML, and commands and variables that exist."""

from __future__ import annotations

from pathlib import Path

import yaml

from app.cli.label_studio import AUTH_VARIABLES
from app.cli.label_studio_push import KEY_VARIABLES, URL_VARIABLES

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docs" / "label-studio" / "docker-compose.yml"


def test_the_compose_file() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    backend = services["openseed-label"]
    assert (COMPOSE.parent / backend["build"]["context"]).resolve() == ROOT
    assert (ROOT / backend["build"]["dockerfile"]).is_file()
    assert backend["command"][0] == "label-studio"
    assert set(backend["environment"]) == {URL_VARIABLES[0], KEY_VARIABLES[0], *AUTH_VARIABLES[0]}
    assert services["label-studio"]["environment"]["ML_BLOCK_LOCAL_IP"] == "false"
