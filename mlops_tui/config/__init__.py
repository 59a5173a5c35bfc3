"""The files a team commits, `mlops.toml` and `pipelines/*.toml`, checked into frozen settings.

All mistakes of a file are told at once, each with the file, the key, what was found and what is allowed.
"""

from mlops_tui.config.base import Settings
from mlops_tui.config.pipeline import (
    Approval,
    Checks,
    ColumnRule,
    Data,
    Features,
    Gate,
    PipelineFile,
    Serve,
    Split,
    Target,
    Train,
    Tune,
    load_pipeline,
)
from mlops_tui.config.rules import Monitor, Policy, Rule, RuleSet, load_rules
from mlops_tui.config.workspace import NotifySettings, WorkspaceFile, load_workspace_file

__all__ = [
    "Approval", "Checks", "ColumnRule", "Data", "Features", "Gate", "Monitor", "NotifySettings", "PipelineFile",
    "Policy", "Rule", "RuleSet", "Serve", "Settings", "Split", "Target", "Train", "Tune", "WorkspaceFile",
    "load_pipeline", "load_rules", "load_workspace_file",
]  # fmt: skip
