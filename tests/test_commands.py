"Every converter and evaluation of the command line: there, documented to the last parameter, and a command"
import argparse, inspect

import pytest
from fastcore.docments import docments

from vidnb.cli import main
from vidnb.function_commands import CONVERTERS, EVALUATIONS, add_converters, add_evaluations, find_function

COMMANDS = {**{n: (m, n) for n,(m,_) in CONVERTERS.items()}, **{k: (m, n) for k,(m,n,_) in EVALUATIONS.items()}}


@pytest.mark.parametrize('name', COMMANDS)
def test_command_is_a_documented_function(name):
    f = find_function(*COMMANDS[name])
    notes = docments(f)
    assert f.__doc__ and len(f.__doc__) > 10
    assert [p for p in inspect.signature(f).parameters if not notes.get(p)] == []
    add = add_converters if name in CONVERTERS else add_evaluations
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers(), [name])
    given = ['-i', 'in', '-o', 'out'] if name in CONVERTERS else ['--truth', 'in', '--pred', 'out']
    required = [o for p in list(inspect.signature(f).parameters.values())[2:] if p.default is p.empty for o in (f'--{p.name.replace("_", "-")}', '2019')]
    assert callable(parser.parse_args([name, *given, *required]).run)


@pytest.mark.parametrize('name', COMMANDS)
def test_missing_files_are_one_line(name, capsys, tmp_path):
    f = find_function(*COMMANDS[name])
    required = [o for p in list(inspect.signature(f).parameters.values())[2:] if p.default is p.empty for o in (f'--{p.name.replace("_", "-")}', '2019')]
    where = ['-i', tmp_path/'nowhere', '-o', tmp_path/'out'] if name in CONVERTERS else ['--truth', tmp_path/'nowhere', '--pred', tmp_path/'no-result']
    status = main([str(o) for o in ('convert' if name in CONVERTERS else 'eval', name, *where, *required)])
    said = capsys.readouterr().err.strip().splitlines()
    assert status == 1 and len(said) == 1 and ('nowhere' in said[0] or 'no-result' in said[0]), said
    assert not (tmp_path/'out').exists() or not list((tmp_path/'out').iterdir())


def test_every_converter_and_report_is_a_command():
    "What a page of a benchmark offers is offered in the shell too"
    import ast
    from pathlib import Path
    import vidnb
    from vidnb.function_commands import CONVERTERS, EVALUATIONS
    made = {n.name for p in (Path(vidnb.__file__).parent/'datasets').glob('*.py') for n in ast.parse(p.read_text()).body if isinstance(n, ast.FunctionDef)}
    assert {n for n in made if n.endswith('2coco') or '2coco_' in n} - set(CONVERTERS) == set()
    assert {n for n in made if n.endswith('_report') and n[0] != '_'} == {name for _,name,_ in EVALUATIONS.values()}
