"""Dagster's runs as jobs of a Ray cluster: the launcher that dagster.yaml names in the deployment `ray` (docs/deployment.md).

This module needs the extra `ray`. The daemon loads it, and no asset does.
"""

from dagster import DagsterRun
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster_ray import RayRunLauncher
from dagster_ray.configs import USER_DEFINED_RAY_KEY
from dagster_ray.utils import resolve_env_vars_list

from audit_assets.errors import InputError
from audit_assets.runs.lost_runs import is_a_drivers

TOLD = ("AUDIT_CONFIG", "AUDIT_DEPLOYMENT")
"""Variables that every job must have. Without the first, a job would audit the miniature."""


class RayRuns(RayRunLauncher):
    """dagster-ray's launcher. A run requests from Ray what the tags of its steps request, so that only a run with a GPU asset has a GPU."""

    def launch_run(self, context: LaunchRunContext) -> None:
        run, told = context.dagster_run, resolve_env_vars_list(self.env_vars)
        if missing := [name for name in TOLD if name not in told]:
            raise InputError(
                f"dagster.yaml, run_launcher, config, ray, env_vars: {' and '.join(missing)} is missing; add a line such as `- {missing[0]}=...`."
            )
        tags = {**self.requested(run), **run.tags}
        super().launch_run(context._replace(dagster_run=run.with_tags(tags)))

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Dagster's monitoring asks this of each run. Those of `audit-assets run` are no jobs; the next driver ends them if their process died."""
        return CheckRunHealthResult(WorkerStatus.RUNNING) if is_a_drivers(run) else super().check_run_worker_health(run)

    def requested(self, run: DagsterRun) -> dict[str, str]:
        """The tag of the steps that the run will execute. It is the same in each step that has it, because one table makes it."""
        if run.execution_plan_snapshot_id is None:
            return {}
        plan = self._instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
        steps = [step.tags or {} for step in plan.steps if step.key in plan.step_keys_to_execute]
        asked = [tags[USER_DEFINED_RAY_KEY] for tags in steps if USER_DEFINED_RAY_KEY in tags]
        return {USER_DEFINED_RAY_KEY: asked[0]} if asked else {}
