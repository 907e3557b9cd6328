"""Check the comparison in docs/lamina-opt.md: run the command of every cell and print what came out.

`python docs/compare_opt_tools.py [TEXT]` runs the rows with TEXT in their name (all without). A tool that is not
installed is skipped. Exits with 1 when a command's exit status or output is no longer what the page says.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

INPUTS: Mapping[str, str] = {
    "t.mlir": """\
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  func.return %2 : i32
}
""",
    "index.mlir": """\
func.func @f(%a: index) -> index {
  %0 = arith.addi %a, %a : index
  func.return %0 : index
}
""",
    "graph.mlir": """\
func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  %y = graph.exp %x : tensor<8xf32>
  func.return %y : tensor<8xf32>
}
""",
    "bad.mlir": """\
func.func @f(%a: i32, %b: i64) -> i32 {
  %0 = "arith.addi"(%a, %b) : (i32, i64) -> i32
  func.return %0 : i32
}
""",
    "undefined.mlir": """\
func.func @f() -> i32 {
  func.return %missing : i32
}
""",
    "split.mlir": """\
func.func @f() -> i32 {
  func.return
}

// -----

func.func @g() {
  func.return
}
""",
    "two.mlir": """\
func.func @f() {
  func.return
}

// -----

func.func @g() {
  func.return
}
""",
    "expected.mlir": """\
// expected-error @below {{never said}}
func.func @f() {
  func.return
}
""",
    "constant.mlir": """\
func.func @f() -> tensor<17xi32> {
  %0 = arith.constant dense<[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]> : tensor<17xi32>
  func.return %0 : tensor<17xi32>
}
""",
}


@dataclass(frozen=True)
class Cell:
    """A command, its exit status, and what its standard output and error, one after the other, must match."""

    command: str
    status: int
    pattern: str


def absent(tool: str, *options: str) -> Cell:
    """No option of a tool has any of these words in its help."""
    words = " ".join(f"-e '{option}'" for option in options)
    return Cell(f"{tool} --help > help && ! grep -i {words} help", 0, r"\A\Z")


def refused(tool: str, options: str) -> Cell:
    """Every one of these options is unknown to a tool."""
    command = f"for option in {options}; do {tool} t.mlir $option && exit 9; done 2>&1; true"
    count = len(options.split())
    return Cell(command, 0, rf"\A(?s:.*?(unrecognized arguments|unknown option)){{{count}}}")


BEYOND = "--mlir-disable-threading --emit-bytecode --verify-roundtrip --log-actions-to=- --mlir-debug-counter=x-skip=1"

ROWS: Mapping[str, tuple[Cell, Cell, Cell]] = {
    "unknown pass": (
        Cell("mlir-opt t.mlir --pass-pipeline='builtin.module(cze)'", 1, r"'cze' does not refer to(?!.*[Dd]id you)"),
        Cell("xdsl-opt t.mlir -p cze", 1, r"Traceback(?s:.*)ValueError: Unrecognized"),
        Cell("lamina-opt t.mlir -p cze", 1, r"\Aerror: unknown pass 'cze'\n.*did you mean dce or cse"),
    ),
    "unknown pass option": (
        Cell("mlir-opt t.mlir --pass-pipeline='builtin.module(cse{x=1})'", 1, r"no such option x"),
        Cell("xdsl-opt t.mlir -p 'cse{x=1}'", 1, r"Traceback"),
        Cell("lamina-opt t.mlir -p 'decompose{x=1}'", 1, r"\Aerror: .* has no option 'x'\n.*its options are"),
    ),
    "unknown flag": (
        Cell("mlir-opt t.mlir --verify-eech", 1, r"Did you mean '--verify-each'"),
        Cell("xdsl-opt t.mlir --verify-eech", 2, r"\Ausage"),
        Cell("lamina-opt t.mlir --verify-eech", 1, r"\Aerror(?s:.*)did you mean --verify-each"),
    ),
    "nesting": (
        Cell("mlir-opt t.mlir --pass-pipeline='builtin.module(func.func(cse))'", 0, r"muli %0, %0"),
        Cell("xdsl-opt t.mlir -p 'func.func(cse)'", 1, r"Traceback"),
        Cell(
            "lamina-opt t.mlir -p 'func(cse)' && lamina-opt t.mlir -p 'builtin.module(func.func(cse))'",
            0,
            r"muli %0, %0(?s:.*)muli %0, %0",
        ),
    ),
    "wrong order of passes": (
        Cell(
            "mlir-opt index.mlir --pass-pipeline='builtin.module(reconcile-unrealized-casts,convert-func-to-llvm,"
            "convert-arith-to-llvm)'",
            0,
            r"builtin.unrealized_conversion_cast",
        ),
        Cell(
            "xdsl-opt index.mlir -p reconcile-unrealized-casts,convert-func-to-riscv-func,convert-arith-to-riscv",
            0,
            r"builtin.unrealized_conversion_cast",
        ),
        Cell("lamina-opt graph.mlir -p form-kernels,infer-types", 1, r"run 'infer-types' before it"),
    ),
    "pipeline printed": (
        Cell("mlir-opt t.mlir --cse --dump-pass-pipeline > /dev/null", 0, r"Pass Manager with 1 passes"),
        absent("xdsl-opt", "pipeline"),
        Cell("lamina-opt graph.mlir --to kernels --print-pipeline > /dev/null", 0, r"infer-types(?s:.*)form-kernels"),
    ),
    "list of passes": (
        Cell("mlir-opt --list-passes && mlir-opt --show-dialects", 0, r"--cse +- (?s:.*)linalg"),
        Cell("xdsl-opt --help", 0, r"Available passes are"),
        Cell("lamina-opt --list-passes && lamina-opt --list-phases && lamina-opt --list-dialects", 0, r"cse"),
    ),
    "help on one pass": (
        Cell("mlir-opt --cse --help | wc -l", 0, r"\A\d{4,}\n"),
        absent("xdsl-opt", "help-pass"),
        Cell("lamina-opt --help-pass cse | wc -l", 0, r"\A\d{1,2}\n"),
    ),
    "IR after changes only": (
        Cell(
            "flags='--canonicalize --cse --mlir-print-ir-after-change'; mlir-opt t.mlir $flags 2>&1 > /dev/null; "
            "echo with:; mlir-opt t.mlir $flags --mlir-print-ir-after-all 2>&1 > /dev/null",
            0,
            r"\Awith:\n// -----// IR Dump After CSE",
        ),
        Cell("xdsl-opt t.mlir -p canonicalize,cse --print-between-passes 2> /dev/null", 0, r"\AIR after canonicalize"),
        Cell(
            "lamina-opt t.mlir -p canonicalize,cse --print-ir-after-change > /dev/null",
            0,
            r"\A// -----// IR Dump After CommonSub(?!(?s:.*)IR Dump)",
        ),
    ),
    "differences between passes": (
        Cell("mlir-opt --help > help && ! grep -E '^ +--(mlir|print)[a-z-]*diff' help", 0, r"\A\Z"),
        absent("xdsl-opt", "diff"),
        Cell("lamina-opt t.mlir -p cse --print-diff > /dev/null", 0, r"\n-.*%1 = arith.addi"),
    ),
    "tree of dumps": (
        Cell(
            "mlir-opt t.mlir --cse --mlir-print-ir-after-all --mlir-print-ir-tree-dir=m > /dev/null; find m -type f",
            0,
            r"\Am/builtin_module_no-symbol-name/0_cse.mlir\n\Z",
        ),
        absent("xdsl-opt", "tree", "directory"),
        Cell(
            "lamina-opt t.mlir -p cse --print-ir-tree-dir l > /dev/null; find l -type f",
            0,
            r"\Al/builtin_module_no-symbol-name/0_cse.mlir\n\Z",
        ),
    ),
    "tree of dumps, split input": (
        Cell(
            "mlir-opt two.mlir --split-input-file --cse --mlir-print-ir-after-all --mlir-print-ir-tree-dir=ms "
            "> /dev/null; find ms -type f",
            0,
            r"\Ams/builtin_module_no-symbol-name/0_cse.mlir\n\Z",
        ),
        absent("xdsl-opt", "tree", "directory"),
        Cell(
            "lamina-opt two.mlir --split-input-file -p cse --print-ir-tree-dir ls > /dev/null; find ls -type f | sort",
            0,
            r"\Als/0/builtin_module_no-symbol-name/0_cse.mlir\nls/1/builtin_module_no-symbol-name/0_cse.mlir\n\Z",
        ),
    ),
    "elided constants": (
        Cell("mlir-opt constant.mlir --mlir-elide-elementsattrs-if-larger=16", 0, r"dense_resource<__elided__>"),
        absent("xdsl-opt", "elide"),
        Cell(
            "lamina-opt constant.mlir --elide-constants=16; lamina-opt constant.mlir -p cse --print-ir-after-all",
            0,
            r"(?s:(.*dense_resource<__elided__>){2})",
        ),
    ),
    "timing": (
        Cell(
            "mlir-opt t.mlir --cse --mlir-timing > /dev/null && "
            "mlir-opt t.mlir --cse --mlir-timing --mlir-output-format=json > /dev/null",
            0,
            r'Execution time report(?s:.*)\[\n\{"wall"',
        ),
        Cell("xdsl-opt t.mlir -p cse --time-passes 2> /dev/null", 0, r"\APass cse took"),
        Cell(
            "for form in list tree json; do lamina-opt t.mlir -p cse --timing=$form > /dev/null; done; "
            "lamina-opt t.mlir -p cse --trace trace.json > /dev/null && cat trace.json",
            0,
            r"traceEvents(?s:(.*cse){3})",
        ),
    ),
    "statistics": (
        Cell(
            "mlir-opt t.mlir --cse --mlir-pass-statistics > /dev/null", 0, r"\A=.*\n.*statistics report.*\n=.*\n\s*\Z"
        ),
        absent("xdsl-opt", "statistic", "count"),
        Cell("lamina-opt t.mlir -p cse --statistics > /dev/null", 0, r"cse"),
    ),
    "verification error": (
        Cell("mlir-opt bad.mlir", 1, r"\Abad.mlir:2:8: error(.*\n){3}.*see current operation.*\n\Z"),
        Cell("xdsl-opt bad.mlir", 1, r"\ATraceback(.*\n){60,}"),
        Cell("lamina-opt bad.mlir", 1, r"\Abad.mlir:2:\d: error(.*\n){3}.*see current operation.*\nnote: in the input"),
    ),
    "undefined value": (
        Cell("mlir-opt undefined.mlir", 1, r"\Aundefined.mlir:2:15: error"),
        Cell("xdsl-opt undefined.mlir", 1, r"\ATraceback"),
        Cell("lamina-opt undefined.mlir", 1, r"\Aundefined.mlir:2:15: error"),
    ),
    "--split-input-file": (
        Cell("mlir-opt split.mlir --split-input-file", 1, r"func @g(?s:.*)split.mlir:2:3: error"),
        Cell("xdsl-opt split.mlir --split-input-file", 1, r"\ATraceback(?!(?s:.*)@g)"),
        Cell("lamina-opt split.mlir --split-input-file", 1, r"func @g(?s:.*)split.mlir:2:3: error"),
    ),
    "--verify-diagnostics": (
        Cell("mlir-opt expected.mlir --verify-diagnostics", 1, r"was not produced"),
        Cell("xdsl-opt expected.mlir --verify-diagnostics", 0, r"func @f"),
        Cell("lamina-opt expected.mlir --verify-diagnostics", 1, r"was not produced"),
    ),
    "reproducer": (
        Cell(
            "mlir-opt t.mlir --test-pass-failure; ls; mlir-opt t.mlir --test-pass-failure "
            "--mlir-pass-pipeline-crash-reproducer=m.mlir; grep -c mlir_reproducer m.mlir",
            0,
            r"\A(?!(?s:.*)\nm.mlir)(?s:.*)\n1\n",
        ),
        absent("xdsl-opt", "reproduc"),
        Cell(
            "lamina-opt t.mlir -p kernels; lamina-opt t.mlir -p kernels --reproducer l.mlir; "
            "grep -c mlir_reproducer l.mlir",
            0,
            r"\A1\n(?s:.*)--run-reproducer .*reproducer.mlir(?s:.*)--run-reproducer l.mlir",
        ),
    ),
    "-o FILE of a failed run": (
        Cell("echo old > m; mlir-opt bad.mlir -o m 2> /dev/null; cat m", 1, r"No such file"),
        Cell("echo old > x; xdsl-opt bad.mlir -o x 2> /dev/null; cat x", 0, r"\A\Z"),
        Cell("echo old > l; lamina-opt bad.mlir -o l 2> /dev/null; cat l", 0, r"\Aold\n\Z"),
    ),
    "locations": (
        Cell(
            "mlir-opt t.mlir --mlir-print-debuginfo",
            0,
            r'%arg0: i32 loc\("t.mlir":1:14\)(?s:.*)muli.*loc\(#loc5\)(?s:.*)#loc5 = loc\("t.mlir":4:8\)',
        ),
        Cell("xdsl-opt t.mlir --print-debuginfo", 0, r"%a: i32 loc\(unknown\)(?s:.*)muli.*loc\(unknown\)"),
        Cell("lamina-opt t.mlir --print-debuginfo", 0, r'%a: i32 loc\(unknown\)(?s:.*)muli.*loc\("t.mlir":4:3\)'),
    ),
    "CHECK lines written": (
        absent("mlir-opt", "update-checks", "generate-test-checks"),
        absent("xdsl-opt", "check"),
        Cell(
            "(echo '// RUN: lamina-opt %s -p cse | filecheck %s'; cat t.mlir) > check.mlir; "
            "python -m lamina.tools.opt.update_checks check.mlir; cat check.mlir",
            0,
            r"// CHECK-LABEL: .*@f",
        ),
    ),
    "threads, bytecode": (
        Cell(f"for option in {BEYOND}; do mlir-opt t.mlir --cse $option > /dev/null || exit 9; done", 0, r""),
        refused("xdsl-opt", BEYOND),
        refused("lamina-opt", BEYOND),
    ),
}
"""What is compared → the commands for `mlir-opt`, `xdsl-opt` and `lamina-opt`."""


def tools() -> dict[str, str]:
    """The tools that are installed, by the name that the commands use."""
    beside = str(Path(sys.executable).parent)
    candidates = {
        "mlir-opt": shutil.which("mlir-opt-22") or shutil.which("mlir-opt"),
        "xdsl-opt": shutil.which("xdsl-opt", path=beside) or shutil.which("xdsl-opt"),
        "lamina-opt": shutil.which("lamina-opt", path=beside) or shutil.which("lamina-opt"),
    }
    return {name: path for name, path in candidates.items() if path}


def run(cell: Cell, preamble: str, folder: Path) -> tuple[bool, int, str]:
    """Whether a cell's command does what is expected; its exit status and output."""
    done = subprocess.run(
        ["bash", "-c", f"{preamble}\n{cell.command}"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    output = done.stdout + done.stderr
    good = done.returncode == cell.status and re.search(cell.pattern, output) is not None
    return good, done.returncode, output


def main(arguments: list[str]) -> int:
    """Run the rows; 1 when something is not as the page says."""
    found = tools()
    preamble = "\n".join(f'{name}() {{ {path} "$@"; }}' for name, path in found.items())
    preamble += f'\npython() {{ {sys.executable} "$@"; }}\nexport PATH={Path(sys.executable).parent}:$PATH'
    failures = 0
    for row, cells in ROWS.items():
        if arguments and arguments[0] not in row:
            continue
        print(f"== {row}")
        for tool, cell in zip(("mlir-opt", "xdsl-opt", "lamina-opt"), cells, strict=True):
            if tool not in found:
                print(f"{tool} is not installed: skipped")
                continue
            with tempfile.TemporaryDirectory() as folder:
                for name, text in INPUTS.items():
                    Path(folder, name).write_text(text)
                good, status, output = run(cell, preamble, Path(folder))
            lines = output.splitlines()
            failures += not good
            print(f"$ {cell.command}\n  exit {status}, {len(lines)} lines{'' if good else ', NOT AS THE PAGE SAYS'}")
            shown = lines if len(lines) <= 6 else [*lines[:3], "…", *lines[-2:]]
            for line in shown:
                print(f"  | {line[:160]}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
