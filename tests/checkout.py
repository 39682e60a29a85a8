"What the project's own tests know about the checkout: its notebooks, settings and modules, and how to copy it."
import ast, json, re, shutil, subprocess
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).resolve().parents[1]
_leave = shutil.ignore_patterns('.git', '.venv', '_proc', '_docs', 'demo_out', 'build', 'dist', '*.egg-info', '__pycache__', '.pytest_cache', '.ipynb_checkpoints')

def copy_project(dest):
    "A copy of the working tree at `dest`, without what is built or cached"
    shutil.copytree(root, dest, symlinks=True, ignore=_leave)
    return Path(dest)

def settings(key):
    "The lines of option `key` in settings.ini"
    ini = ConfigParser(delimiters=['='], interpolation=None)
    ini.read(root/'settings.ini', encoding='utf-8')
    return [o.strip() for o in ini['DEFAULT'].get(key, '').splitlines() if o.strip()]

def tracked_files():
    "Files under version control; without git, all but what is built"
    try: out = subprocess.run(['git', 'ls-files', '-z'], cwd=root, check=True, capture_output=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return [p for p in sorted(root.rglob('*')) if p.is_file() and not any(_leave('', [o]) for o in p.relative_to(root).parts)]
    return [root/f for f in out.split('\0') if f and (root/f).is_file()]

def text_of(x): return x if isinstance(x, str) else ''.join(x)

class Page:
    "A notebook of the project"
    def __init__(self, path):
        self.path, self.folder = path, path.relative_to(root/'nbs').parent.as_posix()
        self.cells = json.loads(path.read_text(encoding='utf-8'))['cells']
        m = re.fullmatch(r'(\d+)_(\w+)', path.stem)
        self.number, self.stem = (int(m[1]), m[2]) if m else (None, path.stem)
        exp = [m[1] for c in self.code for m in re.finditer(r'^#\|\s*default_exp\s+(\S+)', c, re.M)]
        self.module = f'vidnb.{exp[0]}' if exp else None

    def __repr__(self): return self.path.relative_to(root/'nbs').with_suffix('').as_posix()
    @property
    def code(self): return [text_of(c['source']) for c in self.cells if c['cell_type'] == 'code']
    @property
    def markdown(self): return [text_of(c['source']) for c in self.cells if c['cell_type'] == 'markdown']

    def trees(self):
        "The syntax tree of each code cell that is Python, line magics taken out; `exported` says whether it goes into the module"
        for src in self.code:
            if src.lstrip().startswith('%%'): continue
            plain = re.sub(r'^(\s*)[%!].*$', r'\1pass', src, flags=re.M)
            try: tree = ast.parse(plain)
            except SyntaxError: continue  # the notebook's own test says so better
            tree.exported = bool(re.search(r'^#\|\s*exp(ort|orti|orts)\b', src, re.M))
            tree.runs = not re.search(r'^#\|\s*eval\s*:\s*false', src, re.M|re.I)
            yield tree

def pages(): return [Page(p) for p in sorted((root/'nbs').rglob('*.ipynb')) if not any(o[0] in '._' for o in p.relative_to(root/'nbs').parts)]

def modules():
    "{dotted name: file} of the package"
    def dotted(p):
        parts = p.relative_to(root).with_suffix('').parts
        return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
    return {dotted(p):p for p in sorted((root/'vidnb').rglob('*.py'))}

def imported(tree, package=''):
    """(name, node) of every module that `tree` imports, at any depth; `package` resolves relative imports.
    `from a import b` gives 'a.b' as well as 'a', since `b` may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import): yield from ((a.name, node) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split('.')[:len(package.split('.'))-node.level+1] if node.level else []
            mod = '.'.join([*base, *([node.module] if node.module else [])])
            yield mod, node
            yield from ((f'{mod}.{a.name}', node) for a in node.names if a.name != '*')
