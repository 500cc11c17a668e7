"""Try what must not break, and write down how often it did not.

python -m experiments.reliability kills --trials 50
python -m experiments.reliability fuzz --minutes 60
python -m experiments.reliability soak --minutes 60
"""

from experiments.sweep import command_line

command_line.run_program("reliability")
