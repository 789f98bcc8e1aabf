"""``ulmfit send``: tell the tracking server now what runs could not tell it while it was away."""

import typer

from cli.options import WorkspaceDir
from ulmfit.errors import RunFailed

LOOK_AGAIN = 5.0  # seconds


def send(workspace: WorkspaceDir = None) -> None:
    """Send MLflow what earlier runs kept for it. The next run in the workspace does the same."""
    from tasks.servers import check_tracking
    from tasks.tracking import open_outbox
    from tasks.workspace import Workspace

    home = Workspace.named(workspace)
    check_tracking(home)
    outbox = open_outbox(home)
    begun = remaining = outbox.wait(0)
    while remaining and not outbox.failing:
        remaining = outbox.wait(LOOK_AGAIN)
    outbox.close(0)
    if remaining:
        raise RunFailed(
            f"{outbox.server} does not take them ({outbox.failing}); {remaining} entries are kept: run this again when it answers"
        )
    typer.echo(f"{begun} entries sent to {outbox.server}" if begun else "nothing is left to send")
