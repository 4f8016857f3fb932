"""Loads the DAGs as Airflow does and tries the exit codes; `deploy/check` calls it with Airflow's Python."""

import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException

FOLDER = Path(__file__).parent / "airflow"
EXPECTED = {"medallion_night": ["canary", "shards", "shard"], "medallion_upkeep": ["upkeep"]}


def outcome(dags, code: int) -> str:
    """What the operator makes of a program that ends with this code."""
    operator = dags.Medallion(task_id=f"exit_{code}", arguments=["-c", f"exit {code}"], project="/", options="--x y")
    try:
        operator.execute({})
    except AirflowFailException:
        return "failed"
    except AirflowException:
        return "retried"
    return "done"


def main() -> None:
    bag = DagBag(str(FOLDER), safe_mode=False)
    assert not bag.import_errors, bag.import_errors
    found = {name: [task.task_id for task in dag.tasks] for name, dag in bag.dags.items()}
    assert found == EXPECTED, found
    for dag in bag.dags.values():
        assert dag.max_active_runs == 1 and not dag.catchup, dag.dag_id
        assert str(dag.timezone) == "Europe/Berlin", dag.timezone

    sys.path.insert(0, str(FOLDER))
    import medallion_dags as dags

    dags.PROGRAM = "sh"
    dags.credentials = dict  # no connections outside a worker
    found = {code: outcome(dags, code) for code in (0, 1, 2, 3, 4, 6, 7, 130)}
    assert found == {
        0: "done", 1: "retried", 2: "failed", 3: "failed", 4: "failed", 6: "failed", 7: "retried", 130: "retried"
    }, found


if __name__ == "__main__":
    main()
