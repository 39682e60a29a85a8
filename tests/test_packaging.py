"""The wheel, built and used for real: what is in it, what it says it needs, and that it works where only that is installed.

The clean environment is a folder of links to the installed distributions that `requirements` of settings.ini lead to, run by the same
Python without its site-packages: pytest, nbdev and Jupyter are not there."""
import importlib.util, os, re, subprocess, sys, zipfile
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from checkout import copy_project, modules, root, settings

def run(*cmd, **kw):
    res = subprocess.run([str(c) for c in cmd], capture_output=True, text=True, **kw)
    assert res.returncode == 0, f'{" ".join(map(str, cmd))[:200]}\n{(res.stdout + res.stderr)[-4000:]}'
    return res.stdout

def can_build_here():
    "Is a setuptools here that pyproject.toml accepts? Otherwise the build makes an environment of its own, which needs the network"
    try: return Version(distribution('setuptools').version) >= Version('77')
    except PackageNotFoundError: return False

@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    tmp = tmp_path_factory.mktemp('wheel')
    src = copy_project(tmp/'src')
    run(sys.executable, '-m', 'build', '--wheel', '--outdir', tmp/'dist', *(['--no-isolation'] if can_build_here() else []), src)
    found = list((tmp/'dist').iterdir())
    assert len(found) == 1
    return found[0]

@pytest.fixture(scope='module')
def meta(wheel):
    with zipfile.ZipFile(wheel) as z:
        return Parser().parsestr(next(z.read(n).decode() for n in z.namelist() if n.endswith('.dist-info/METADATA')))

def test_wheel_holds_the_package_only(wheel):
    with zipfile.ZipFile(wheel) as z: names = z.namelist()
    inside = {n for n in names if '.dist-info/' not in n}
    assert {n for n in names if not re.match(r'vidnb(-[^/]*\.dist-info)?/', n)} == set()
    assert {n for n in inside if n.endswith('.py')} == {p.relative_to(root).as_posix() for p in modules().values()}
    assert any(n.endswith('licenses/LICENSE') for n in names)

def test_wheel_is_for_every_platform(wheel): assert wheel.name.endswith('-py3-none-any.whl')

def test_metadata(meta):
    assert meta['Name'] == 'vidnb'
    assert meta['License-Expression'] == settings('license')[0]
    assert meta['Version'] == re.search(r'^__version__ = "(.+)"', (root/'vidnb'/'__init__.py').read_text(), re.M)[1]
    project = (root/'pyproject.toml').read_text()
    assert meta['Summary'] == re.search(r'^description = "(.+)"', project, re.M)[1]
    assert meta['Requires-Python'].replace(' ', '').split(',') and set(meta['Requires-Python'].split(',')) == set(re.search(r'^requires-python = "(.+)"', project, re.M)[1].split(','))
    assert meta.get_payload().strip() == (root/'README.md').read_text().strip()

def test_requirements_of_the_wheel(meta):
    got = {None:[], 'dev':[], 'timm':[], 'distributed':[]}
    for line in meta.get_all('Requires-Dist'):
        extra = re.search(r'extra == "(\w+)"', line)
        line = re.sub(r';\s*$', '', re.sub(r'\s*(and )?extra == "\w+"', '', line)).strip()
        got[extra and extra[1]].append(re.sub(r';\s*\((.*)\)$', r'; \1', line))
    for extra,key in ((None, 'requirements'), ('dev', 'dev_requirements'), ('timm', 'timm_requirements'), ('distributed', 'distributed_requirements')):
        assert sorted(str(Requirement(r)) for r in got[extra]) == sorted(str(Requirement(r)) for r in settings(key)), key

def needed(names):
    "Names of the distributions that requirements `names` lead to in this environment"
    todo, seen = [(Requirement(n), '') for n in names], set()
    while todo:
        req, extra = todo.pop()
        if req.marker and not req.marker.evaluate({'extra': extra}): continue
        name = canonicalize_name(req.name)
        try: dist = distribution(name)
        except PackageNotFoundError: continue
        for e in ['', *req.extras]:
            if (name, e) in seen: continue
            seen.add((name, e))
            todo += [(Requirement(r), e) for r in dist.requires or []]
    return {n for n,_ in seen}

def link_distribution(name, folder):
    "Link what distribution `name` installed into `folder`"
    for f in distribution(name).files or []:
        top = f.parts[0]
        if top in ('..', '__pycache__') or top.endswith('.pth') or (folder/top).exists(): continue
        (folder/top).symlink_to(Path(distribution(name).locate_file(top)).resolve())

@pytest.fixture(scope='module')
def clean(wheel, tmp_path_factory):
    "`clean(*args)` runs Python with the installed wheel and its requirements, and nothing else"
    if sys.platform == 'win32': pytest.skip('needs symbolic links')
    tmp = tmp_path_factory.mktemp('clean')
    run(sys.executable, '-m', 'pip', 'install', '--no-deps', '--no-index', '--disable-pip-version-check', '--no-compile', '--target', tmp/'vidnb', wheel)
    (tmp/'others').mkdir()
    (tmp/'empty').mkdir()
    for n in needed(settings('requirements')) - {'vidnb'}: link_distribution(n, tmp/'others')
    keep = ('PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'LD_LIBRARY_PATH', 'OMP_NUM_THREADS')
    env = {k:os.environ[k] for k in keep if k in os.environ}
    env |= dict(PYTHONPATH=os.pathsep.join([str(tmp/'vidnb'), str(tmp/'others')]), PYTHONNOUSERSITE='1', VIDNB_CACHE=str(tmp/'cache'),
                PYTHONDONTWRITEBYTECODE='1', MPLBACKEND='Agg', MPLCONFIGDIR=str(tmp/'mpl'))
    def _clean(*args): return run(sys.executable, '-S', *args, cwd=tmp/'empty', env=env)
    _clean.folder = tmp
    return _clean

def test_the_environment_is_clean(clean):
    got = clean('-c', 'import importlib.util as u, vidnb, numpy; print(vidnb.__file__); print(*[m for m in ("pytest", "nbdev", "jupyterlab", "build", "timm", "pip") if u.find_spec(m)])')
    file, others = got.split('\n')[:2]
    assert Path(file) == clean.folder/'vidnb'/'vidnb'/'__init__.py' and others == ''
    assert importlib.util.find_spec('pytest') and importlib.util.find_spec('nbdev'), 'they are in this one, so the test sees a difference'

def test_every_module_imports(clean):
    code = '''
import importlib, sys, traceback
bad = []
for m in sys.argv[1:]:
    try: importlib.import_module(m)
    except Exception: bad.append(m); traceback.print_exc()
if bad: sys.exit(f'these do not import without the development tools: {bad}')
print(len(sys.argv)-1)'''
    names = [m for m in modules() if not m.endswith('__main__')]
    assert int(clean('-c', code, *names).split()[-1]) == len(names) > 1

def test_console_script(clean):
    script = clean.folder/'vidnb'/'bin'/'vidnb'
    assert script.exists()
    out = clean(script, '--help')
    for word in ('vidnb', 'demo', 'predict', 'env'): assert word in out
