"""The nights of all customers, and their upkeep, for Airflow 3 (apache-airflow-providers-standard).

The program and the project lie on the workers. Everything else is set in Airflow, nothing in this file:

    Variable medallion_project   folder with medallion.toml and customers/   default /etc/medallion
    Variable medallion_options   options of every run                        default below
    Variable medallion_shards    how many workers share the customers        default 1
    Variable medallion_canary    customer run before all others              default none
    Connection medallion_lake    credentials of an object store (login, password, extra: region_name, endpoint_url);
                                 without it the worker's own environment is used
"""

from __future__ import annotations

import os
import shlex
from datetime import timedelta

import pendulum
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseHook, BaseOperator, Param, TriggerRule, Variable, task
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)
from airflow.timetables.trigger import CronTriggerTimetable

TIMEZONE = "Europe/Berlin"
PROGRAM = "medallion"
OPTIONS = "--jobs 4 --timeout 30m --retries 2 --max-failures 50"

# What the exit codes mean; those of Airflow's concern are the ones that another try can cure. A run that ends with 3 has
# tried its customers again already: the night's second pass takes what is left.
MEANINGS = {
    1: "failed: no customer is done, or the lake cannot be read",
    2: "options, project or pipeline are wrong",
    3: "some customers failed, the others are done",
    4: "data tests or guards failed, nothing was published",
    6: "the selection matched nothing",
    7: "another run holds the customer",
    130: "interrupted",
}
RETRIED = {1, 7, 130}


def credentials() -> dict[str, str]:
    """What the program finds in its environment of the connection medallion_lake, if there is one."""
    try:
        connection = BaseHook.get_connection("medallion_lake")
    except AirflowNotFoundException:
        return {}
    extra = connection.extra_dejson
    found = {
        "AWS_ACCESS_KEY_ID": connection.login,
        "AWS_SECRET_ACCESS_KEY": connection.password,
        "AWS_REGION": extra.get("region_name"),
        "AWS_ENDPOINT_URL": extra.get("endpoint_url"),
    }
    return {name: value for name, value in found.items() if value}


class Medallion(BaseOperator):
    """Runs the program; an exit code that another try cannot cure fails the task at once."""

    template_fields = ("arguments", "project", "options", "as_of")
    ui_color = "#d9c8a9"

    def __init__(self, *, arguments: list[str], project: str, options: str = "", as_of: str = "", **kwargs) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments
        self.project = project
        self.options = options
        self.as_of = as_of
        self.hook = SubprocessHook()

    def execute(self, context) -> None:
        del context
        command = [PROGRAM, *self.arguments, "--project", self.project, "--log-format", "json"]
        command += shlex.split(self.options)
        if self.as_of:
            command += ["--as-of", self.as_of]
        code = self.hook.run_command(command, env={**os.environ, **credentials()}).exit_code
        if code == 0:
            return
        message = f"exit code {code}: {MEANINGS.get(code, 'ended by a signal' if code < 0 else 'unknown')}"
        if code < 0 or code in RETRIED:
            raise AirflowException(message)
        raise AirflowFailException(message)

    def on_kill(self) -> None:
        self.hook.send_sigterm()


class Canary(Medallion):
    """Runs the customer of the Variable medallion_canary before all others; without one it is skipped."""

    def execute(self, context) -> None:
        if not self.arguments[-1]:
            raise AirflowSkipException("no canary: the Variable medallion_canary is not set")
        super().execute(context)


PROJECT = "{{ var.value.get('medallion_project', '/etc/medallion') }}"
EVERY_RUN = f"{{{{ var.value.get('medallion_options', '{OPTIONS}') }}}}"
AS_OF = "{{ params.as_of or '' }}"
DEFAULTS = {"owner": "data", "retries": 2, "retry_delay": timedelta(minutes=10)}
START = pendulum.datetime(2026, 1, 1, tz=TIMEZONE)

with DAG(
    dag_id="medallion_night",
    description="All customers, every night, and once more for what came late",
    # 01:15 exists once on every day of the year in Berlin, 02:15 does not.
    schedule=CronTriggerTimetable("15 1,5 * * *", timezone=TIMEZONE),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3, minutes=30),
    default_args=DEFAULTS,
    params={
        "as_of": Param(None, type=["null", "string"], format="date", description="The run's date; default today"),
    },
    tags=["medallion"],
    doc_md=__doc__,
):
    canary = Canary(
        task_id="canary",
        arguments=["run", "--customer", "{{ var.value.get('medallion_canary', '') }}"],
        project=PROJECT,
        as_of=AS_OF,
    )

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def shards() -> list[list[str]]:
        """The customers in as many shares as there are workers for them."""
        count = int(Variable.get("medallion_shards", default="1"))
        return [["run", "--all", "--shard", f"{index}/{count}"] for index in range(1, count + 1)]

    shares = shards()
    canary >> shares
    Medallion.partial(task_id="shard", project=PROJECT, options=EVERY_RUN, as_of=AS_OF).expand(arguments=shares)

with DAG(
    dag_id="medallion_upkeep",
    description="Merges small files and removes old ones, once a week",
    schedule=CronTriggerTimetable("0 12 * * 0", timezone=TIMEZONE),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args={**DEFAULTS, "retries": 0},
    tags=["medallion"],
):

    @task
    def upkeep() -> None:
        """Every customer; one that a run holds is left for the next time."""
        project = Variable.get("medallion_project", default="/etc/medallion")
        environment = {**os.environ, **credentials(), "MEDALLION_PROJECT": project}
        code = SubprocessHook().run_command(["medallion-upkeep"], env=environment).exit_code
        if code != 0:
            raise AirflowFailException(f"medallion-upkeep ended with exit code {code}")

    upkeep()
