"""The one-way flow: a notebook imports only from notebooks with lower numbers, and outside packages only where the design lets them in.

- fastai is used by `loading`, `learn`, `view`, the bench, the tutorials and the index page; every other module works where fastai is not installed.
- What a module imports is a requirement in settings.ini, or the import may fail without harm.
- `import vidnb` costs nothing: no torch, no fastai, no OpenCV."""
import ast, re, subprocess, sys, textwrap
from collections import Counter, defaultdict
from importlib.metadata import packages_distributions
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from checkout import imported, modules, pages, root, settings

fastai_folders = {'loading', 'learn', 'view', 'tutorials'}
fronts = {'bench'}  # programs made of the folders above, so they need fastai too
by_page = pytest.mark.parametrize('page', pages(), ids=str)

def number_of():
    "{exported module: number of its notebook}"
    return {p.module:p.number for p in pages() if p.module}

def test_numbers():
    have = pages()
    assert have, 'no notebooks were found'
    assert [str(p) for p in have if p.number is None] in ([], ['index']), 'every page but the index starts with a number'
    twice = [n for n,k in Counter(p.number for p in have if p.number is not None).items() if k > 1]
    assert twice == [], f'two pages have one number: {[str(p) for p in have if p.number in twice]}'

def test_page_names():
    "Two notebooks of a folder that differ in their numbers only would write the same page of the site"
    names = Counter((p.folder, p.stem.lower()) for p in pages())
    assert [n for n,k in names.items() if k > 1] == []
    assert [str(p) for p in pages() if re.match(r'\d', p.folder)] == [], 'folders carry no number'

def own(page):
    "(module of vidnb that `page` imports, in an exported cell?)"
    known = {*number_of(), *modules()}
    for tree in page.trees():
        for name,node in imported(tree):
            whole = isinstance(node, ast.Import) or name == node.module  # not the name of a thing in a module
            if name.startswith('vidnb.') and (whole or name in known): yield name, tree.exported

@by_page
def test_imports_lower_numbers_only(page):
    nums, known = number_of(), modules()
    for name,exported in own(page):
        if name not in nums:
            assert name in known, f'{page} imports {name}, which no notebook exports'
            if name == 'vidnb.all': assert page.module is None, f'{page} imports vidnb.all, which imports every page'
        elif name == page.module: assert not exported, f'{page} imports itself in an exported cell'
        elif page.module is not None: assert nums[name] < page.number, f'{page} imports {name}, which is page {nums[name]}'

@by_page
def test_fastai_stays_in_its_folders(page):
    if page.folder.split('/')[0] in fastai_folders | fronts or str(page) == 'index': return
    for tree in page.trees():
        for name,_ in imported(tree): assert name.split('.')[0] != 'fastai', f'{page} imports {name}; fastai belongs in {sorted(fastai_folders)}'

@by_page
def test_imports_stand_alone(page):
    "nbdev runs the cells with imports when it makes a page of the site, and what stands beside them would run too"
    for tree in page.trees():
        kinds = {type(n) for n in tree.body}
        if not tree.runs or 'nbdev.nbdev_export' in ast.unparse(tree) or not kinds & {ast.Import, ast.ImportFrom}: continue
        assert not kinds & {ast.Expr, ast.Assign}, f'{page}: imports and other code in one cell:\n{ast.unparse(tree)[:300]}'

@by_page
def test_title_and_subtitle(page):
    first = next((s for s in page.markdown if s.strip()), '')
    assert re.match(r'# \S.*\n+> \S', first), f'{page} does not begin with a title and a > subtitle in one cell; it begins {first[:80]!r}'

@by_page
def test_module_has_a_summary(page):
    if page.module is None: return
    assert any(re.match(r'#\|\s*export\s*\n\s*\S', s) for s in page.markdown), f'{page} has no exported summary, which becomes the docstring of {page.module}'

def test_names_are_unique():
    "A pipeline names a step by its bare name, so no two modules may export one name"
    index = modules()['vidnb._modidx']
    space = {}
    exec(index.read_text(), space)
    homes = defaultdict(list)
    for mod,syms in space['d']['syms'].items():
        for name in {s[len(mod)+1:] for s in syms}:
            if '.' not in name and name[0] != '_': homes[name].append(mod)
    bad = [f'{n}: {", ".join(ms)}' for n,ms in homes.items() if len(ms) > 1]
    assert not bad, '\n'.join(bad)

def test_all_gathers_every_module():
    "`from vidnb.all import *` brings what every page exports, but the tools of the documentation and of the shell"
    if 'vidnb.all' not in modules(): pytest.skip('there is no vidnb.all')
    tree = ast.parse(modules()['vidnb.all'].read_text())
    stars = [n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.module.startswith('vidnb.')]
    want = number_of().keys() - {'vidnb.core.doctools', 'vidnb.cli'}
    assert sorted(want - set(stars)) == [], 'vidnb/all.py forgets these'
    assert sorted(set(stars) - want) == [], 'vidnb/all.py names modules that no notebook exports'

def python(code, *args):
    "Run `code` in a fresh interpreter in the checkout; its last line of output"
    res = subprocess.run([sys.executable, '-c', textwrap.dedent(code), *args], cwd=root, capture_output=True, text=True)
    assert res.returncode == 0, res.stderr[-3000:]
    return res.stdout.strip().splitlines()[-1] if res.stdout.strip() else ''

def test_import_vidnb_is_light():
    got = python('''
        import sys
        before = set(sys.modules)
        import vidnb
        print(*sorted({m.split('.')[0] for m in set(sys.modules)-before}))''').split()
    assert 'vidnb' in got
    assert set(got) & {'torch', 'torchvision', 'fastai', 'cv2', 'av', 'decord', 'numpy', 'pandas', 'matplotlib'} == set()

def top_level(tree):
    "`tree` with only the statements that run at import"
    return ast.Module([n for n in tree.body if not isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))], [])

def test_numbers_and_pixels_need_no_torch():
    for name,f in modules().items():
        if name.split('.')[1:2] not in (['core'], ['metrics'], ['video']): continue
        got = {m.split('.')[0] for m,_ in imported(top_level(ast.parse(f.read_text())))}
        assert not got & {'torch', 'torchvision'}, f'{name} imports torch when it is imported'

def test_works_without_fastai():
    "Import every module outside fastai's folders in an interpreter in which fastai cannot be imported"
    names = [m for m in modules() if m not in ('vidnb.all', 'vidnb.__main__') and (m+'.').split('.')[1] not in fastai_folders | fronts]
    got = python('''
        import importlib, sys, traceback
        class No:
            def find_spec(self, name, path=None, target=None):
                if name.split('.')[0] == 'fastai': raise ModuleNotFoundError('fastai is not for this module')
        sys.meta_path.insert(0, No())
        bad = []
        for m in sys.argv[1:]:
            try: importlib.import_module(m)
            except Exception: bad.append(m); traceback.print_exc()
        assert not bad, bad
        print(len(sys.argv)-1)''', *names)
    assert int(got) == len(names) > 0

def catches_import(node):
    names = {n.id for h in node.handlers for n in ast.walk(h.type or ast.Name('Exception')) if isinstance(n, ast.Name)}
    return bool(names & {'ImportError', 'ModuleNotFoundError', 'Exception', 'OSError', 'RuntimeError'})

def outside_imports(tree):
    "(top name, guarded, inside a function) of every import of neither vidnb nor the standard library"
    def walk(node, guarded, inside):
        if isinstance(node, ast.Try) and catches_import(node):
            for n in node.body: yield from walk(n, True, inside)
            for n in [*node.handlers, *node.orelse, *node.finalbody]: yield from walk(n, guarded, inside)
            return
        if isinstance(node, ast.Import): names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom): names = [] if node.level else [node.module]
        else: names = []
        for n in names:
            n = n.split('.')[0]
            if n != 'vidnb' and n not in sys.stdlib_module_names: yield n, guarded, inside
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for n in ast.iter_child_nodes(node): yield from walk(n, guarded, inside)
    return walk(tree, False, False)

# distributions of modules that may not be installed here
usual = {'cv2':'opencv-python-headless', 'av':'av', 'decord':'decord', 'torchcodec':'torchcodec', 'timm':'timm', 'pycocotools':'pycocotools', 'safetensors':'safetensors', 'pytorchvideo':'pytorchvideo'}

def unlisted(tree, always, sometimes, extras, dists):
    "What `tree` imports against the rules, as text"
    for name,guarded,inside in outside_imports(tree):
        mine = {canonicalize_name(d) for d in [*dists.get(name, []), *([usual[name]] if name in usual else [])]}
        if mine & always or guarded: continue
        if not mine & (sometimes | extras): yield f'{name} is no requirement in settings.ini'
        elif not inside: yield f'{name} is not everywhere, so it is imported inside a function or in a try that says what is missing'

def listed():
    reqs = [Requirement(r) for r in settings('requirements')]
    extras = {canonicalize_name(Requirement(r).name) for r in settings('timm_requirements')} | {'torchcodec', 'ipython', 'nbdev', 'safetensors', 'pytorchvideo', 'accelerate'}
    return {canonicalize_name(r.name) for r in reqs if not r.marker}, {canonicalize_name(r.name) for r in reqs if r.marker}, extras, packages_distributions()

def test_imports_are_requirements():
    rules = listed()
    bad = [f'{name}: {b}' for name,f in modules().items() for b in unlisted(ast.parse(f.read_text()), *rules)]
    assert not bad, '\n'.join(bad)

def test_the_rule_sees():
    "The check above on code that breaks it, and on code that does not"
    rules = listed()
    def bad(code): return [o.split()[0] for o in unlisted(ast.parse(textwrap.dedent(code)), *rules)]
    assert bad('import pytest') == ['pytest'] and bad('def f(): from nbformat.v4 import x') == ['nbformat']
    assert bad('import timm') == ['timm'] and bad('import decord') == ['decord']
    assert bad('''
        import json, numpy as np, cv2
        from vidnb.core.testing import *
        def f():
            import timm, decord
        try: import tensorflow
        except ImportError: tensorflow = None''') == []
