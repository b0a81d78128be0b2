"""Runs the checks: every public function of `vendors/*.py` and `gateway.py`, against a sandbox started for them.

Those of `engines.py` need an engine that is installed, and run only when they are named: `tests/engines/run` does both.
"""

import importlib
import inspect
import pathlib
import sys
import time
import traceback

from stand import Stand

HERE = pathlib.Path(__file__).resolve().parent
ON_REQUEST = "engines"


def modules():
    names = sorted(path.stem for path in (HERE / "vendors").glob("*.py") if not path.stem.startswith("_"))
    return {**{name: f"vendors.{name}" for name in names}, "gateway": "gateway", ON_REQUEST: ON_REQUEST}


def checks(module):
    """Its public functions, in the order in which they are written."""
    own = [f for name, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__ and not name.startswith("_")]
    return sorted(own, key=lambda f: f.__code__.co_firstlineno)


def main(isobar, wanted):
    known = modules()
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"no checks are called {', '.join(unknown)}; there are: {', '.join(known)}")
    stand = Stand(isobar)
    passed, failed, began = 0, [], time.monotonic()
    try:
        for name in wanted or [name for name in known if name != ON_REQUEST]:
            start = time.monotonic()
            module = importlib.import_module(known[name])
            count = 0
            for check in checks(module):
                try:
                    check(stand)
                    count += 1
                except Exception:
                    failed.append(f"{name}: {check.__name__}")
                    print(f"FAILED {failed[-1]}")
                    traceback.print_exc(limit=-6, file=sys.stdout)
            passed += count
            print(f"{name:15} {count:3} passed, {time.monotonic() - start:5.1f} s", flush=True)
    finally:
        stand.stop()
    for name in failed:
        print(f"FAILED {name}")
    print(f"{passed} passed, {len(failed)} failed, {time.monotonic() - began:.1f} s")
    sys.exit(bool(failed) or not passed)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
