"""Write a plugin package: what `pwm new-plugin` makes, shown here, checked with `pwm check`."""

from pathlib import Path

from pwm_core.commands.new_plugin import write_plugin

for path in write_plugin(Path("pwm-mymethod")):
    print(f"--- {path}")
    if path.suffix in (".py", ".toml"):
        print(path.read_text())

print("now: pip install -e pwm-mymethod && pwm check mymethod")
