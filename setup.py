"""What pyproject.toml cannot say: the files of `tasks` are installed a second time, as `aigc`.

A shop's own `tasks.py` hides the first name; `tasks/_two_names.py` makes one package of both.
"""

from setuptools import find_packages, setup

PACKAGES = find_packages(include=["aigc_worker", "tasks", "tasks.*", "worker", "worker.*"])
AGAIN = ["aigc" + name.removeprefix("tasks") for name in PACKAGES if name.partition(".")[0] == "tasks"]

setup(packages=[*PACKAGES, *AGAIN], package_dir={"aigc": "tasks"})
