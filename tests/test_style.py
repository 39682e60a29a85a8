"Limits that keep the pages readable and the repository portable."
import ast, re
import pytest
from checkout import modules, pages, root, tracked_files

@pytest.mark.parametrize('page', pages(), ids=str)
def test_page_is_small(page):
    kb = page.path.stat().st_size/1000
    assert kb < 400, f'{page} has {kb:.0f} kB; make its pictures smaller'

def public(tree):
    "The functions and classes that a module exports"
    names = next((ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], 'id', '') == '__all__'), None)
    for n in tree.body:
        if not isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): continue
        if n.name in names if names is not None else n.name[0] != '_': yield n

def bare(tree): return [n.name for n in public(tree) if not (ast.get_docstring(n) or '').strip()]

@pytest.mark.parametrize('name', [m for m in modules() if not m.endswith('_modidx')])
def test_public_names_have_docstrings(name):
    assert bare(ast.parse(modules()[name].read_text())) == [], f'without a docstring in {name}'

def test_the_docstring_rule_sees():
    assert bare(ast.parse('__all__ = ["f", "g", "C"]\ndef f(): pass\ndef g(): "Says"\ndef h(): pass\nclass C: pass')) == ['f', 'C']

# written in pieces, so that this file does not hold what it looks for
machine_bound = {
    'a path of one machine': r'(?<![\w.:/*-])/' + r'work/',
    'a file address': 'file:' + '///',
    'a package index': r'https?://[^\s"\'\\]*/(?:sim' + r'ple|wh' + r'l)(?:/|\b)|--(?:extra-)?index' + '-url',
}

def findings(text): return [what for what,pattern in machine_bound.items() if re.search(pattern, text)]

def test_nothing_is_bound_to_one_machine():
    bad = []
    for f in tracked_files():
        try: text = f.read_text(encoding='utf-8')
        except UnicodeDecodeError: continue
        bad += [f'{f.relative_to(root)}: {what}' for what in findings(text)]
    assert not bad, '\n'.join(bad)

def test_the_machine_rule_sees():
    slash = '/'
    assert findings(f'open("{slash}work/x.mp4")') and findings(f'file:{slash*3}tmp/a') and findings(f'pip install --index{"-"}url x')
    assert findings(f'https://a.org/{"sim"}ple/') and not findings('https://a.org/simplest, nbs/work/a.png, working/directory')
