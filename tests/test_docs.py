"""The documentation site as far as it can be checked without Quarto, and README.md.

nbdev makes the pages that Quarto renders: exports and imports run, signatures and links are filled in. These pages are made here in a
copy of the project and then read as Quarto would find them: navigation, titles, links and their anchors, stored outputs. Rendering them
is left to the workflow that publishes the site."""
import ast, json, os, re, subprocess, sys
from posixpath import dirname, join, normpath
from urllib.parse import unquote
import pytest, yaml
from checkout import copy_project, modules, pages, root, text_of
from vidnb.core.doctools import cell_directives, readme_text, site_address

prepare = '''
from nbdev.config import get_config
from nbdev.quarto import refresh_quarto_yml, nbdev_sidebar
from nbdev.serve import proc_nbs
refresh_quarto_yml()
nbdev_sidebar.__wrapped__()
proc_nbs(get_config().nbs_path, n_workers=0, force=True)
'''

refresh = """run python -c "from nbdev.quarto import *; refresh_quarto_yml(); nbdev_sidebar.__wrapped__()\""""

class SitePage:
    "A page on its way to Quarto: `name` in the site's folder, front matter `meta`, notebook `cells`"
    def __init__(self, name, nb):
        self.name, self.cells, self.meta = name, nb['cells'], {}
        if self.cells and self.cells[0]['cell_type'] == 'raw':
            self.meta = yaml.safe_load(text_of(self.cells[0]['source']).strip().strip('-')) or {}
        self.html = join(dirname(name), self.meta.get('output-file', name.rpartition('/')[2].replace('.ipynb', '.html')))
        self.outputs = [o for c in self.cells for o in c.get('outputs', [])]

    def prose(self):
        "Markdown of the page: cells, and outputs that are Markdown; no code"
        for c in self.cells:
            if c['cell_type'] == 'markdown': yield text_of(c['source'])
        for o in self.outputs:
            if 'text/markdown' in o.get('data', {}): yield text_of(o['data']['text/markdown'])

    def anchors(self):
        "Identifiers of the headings: given in braces, else what Pandoc makes of the heading's words"
        for text in self.prose():
            for head in re.findall(r'^#{1,6} +(.+?) *#*$', re.sub(r'^(```|~~~).*?^\1', '', text, flags=re.S|re.M), re.M):
                given = re.search(r'\{[^}]*#([\w.:-]+)[^}]*\}\s*$', head)
                words = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', head)
                words = re.sub(r'[^\w\s.-]', '', words).strip().lower()
                yield given[1] if given else re.sub(r'^[^a-z]+', '', re.sub(r'\s+', '-', words))
                yield re.sub(r'\s+', '-', words)

    def links(self):
        for text in self.prose():
            text = re.sub(r'^(```|~~~).*?^\1', '', text, flags=re.S|re.M)
            text = re.sub(r'(?<!\[)(`+)[^`\n]+\1(?!\])', '', text)
            yield from re.findall(r'\]\(([^()\s]+)(?:\s+"[^"]*")?\)', text)
            yield from re.findall(r'(?:href|src)="([^"]+)"', text)

def dispatched():
    "Names of functions with several bodies by type of argument, which nbdev's show_doc leaves out"
    for f in modules().values():
        for n in ast.parse(f.read_text()).body:
            if isinstance(n, ast.FunctionDef) and any('dispatch' in ast.unparse(d) for d in n.decorator_list): yield n.name

class Site:
    def __init__(self, folder):
        self.project, self.folder = folder, folder/'_proc'
        files = [p for p in sorted(self.folder.rglob('*.ipynb')) if not any(o[0] == '.' for o in p.relative_to(self.folder).parts)]
        self.pages = [SitePage(p.relative_to(self.folder).as_posix(), json.loads(p.read_text(encoding='utf-8'))) for p in files]
        self.anchors = {p.html:set(p.anchors()) for p in self.pages}
        self.html_of, self.undocumented = {p.name:p.html for p in self.pages}, set(dispatched())

    def broken(self, page, url):
        "Why `url` leads nowhere from `page`, or None"
        base = site_address()
        if url.startswith(base): target = url[len(base):]
        elif re.match(r'[a-z][a-z0-9+.-]*:', url, re.I) or url.startswith('//'): return
        elif url.startswith('/'): return 'starts at the root of the host'
        else: target = url
        path, _, frag = target.partition('#')
        if target is url: path = normpath(join(dirname(page.name), unquote(path))) if path else page.name
        path = self.html_of.get(path, path) or 'index.html'
        if path in self.anchors:
            found = not frag or frag in self.anchors[path] or (target is not url and frag in self.undocumented)
            return None if found else f'{path} has no heading {frag}'
        if path.endswith('.md') and path[:-3] in self.anchors: return  # the Markdown twin of a page
        return None if path and (self.folder/path).is_file() else f'no {path}'

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    copy = copy_project(tmp_path_factory.mktemp('site')/'vidnb')
    env = {k:v for k,v in os.environ.items() if k != 'IN_TEST'}
    res = subprocess.run([sys.executable, '-c', prepare], cwd=copy, env=env, capture_output=True, text=True)
    if res.returncode: pytest.fail(f'nbdev could not make the pages:\n{(res.stdout + res.stderr)[-4000:]}', pytrace=False)
    return Site(copy)

def test_pages_are_made(site):
    want = {f'{p}.ipynb' for p in pages()}
    assert want and {p.name for p in site.pages} == want

def test_generated_files_are_committed(site):
    for f in ('nbdev.yml', 'sidebar.yml'):
        have = root/'nbs'/f
        assert have.exists() and have.read_text() == (site.project/'nbs'/f).read_text(), f'nbs/{f} is out of date; {refresh}'

def test_quarto_settings(site):
    q = yaml.safe_load((site.folder/'_quarto.yml').read_text())
    assert q['project']['type'] == 'website'
    assert 'nbdev.yml' in q['metadata-files'] and 'sidebar.yml' in q['metadata-files']
    for f in q['metadata-files']: assert yaml.safe_load((site.folder/f).read_text()), f
    css = q['format']['html']['css']
    for f in [css] if isinstance(css, str) else css: assert (site.folder/f).is_file(), f
    web = yaml.safe_load((site.folder/'nbdev.yml').read_text())['website']
    assert web['site-url'].rstrip('/') + '/' == site_address()

def entries(o):
    "Files that a navigation tree names"
    if isinstance(o, str): yield o
    elif isinstance(o, list):
        for x in o: yield from entries(x)
    elif isinstance(o, dict):
        for k in ('href', 'file', 'contents', 'left', 'right', 'menu'):
            if k in o: yield from entries(o[k])

def test_navigation(site):
    web = yaml.safe_load((site.folder/'_quarto.yml').read_text())['website']
    side = yaml.safe_load((site.folder/'sidebar.yml').read_text())['website']['sidebar']
    named = [e for e in [*entries(side), *entries(web.get('navbar', {})), *entries(web.get('sidebar', {}))] if '://' not in e]
    assert [e for e in named if not (site.folder/e).is_file()] == [], 'the navigation names pages that do not exist'
    assert sorted({p.name for p in site.pages} - set(named)) == [], 'pages that no menu leads to'

def test_titles(site):
    assert [p.name for p in site.pages if not p.meta.get('title')] == []
    assert [p.name for p in site.pages if not p.meta.get('description')] == [], 'pages without a > subtitle'
    outs = [p.html for p in site.pages]
    assert len(set(outs)) == len(outs), 'two notebooks write one page'

def test_outputs(site):
    for p in site.pages:
        assert not [o for o in p.outputs if o['output_type'] == 'error'], f'{p.name} stores an error'
        for o in p.outputs:
            kind = ', '.join(o.get('data', {}))
            assert 'application/vnd.jupyter.widget-view+json' not in kind, f'{p.name} stores a widget, which a page cannot show'
        for c in p.cells:
            src = text_of(c['source'])
            asked = re.search(r'^show_doc\((\w+)', src, re.M) if c['cell_type'] == 'code' else None
            if asked and asked[1] not in site.undocumented: assert c['outputs'], f'{p.name}: {asked[0]}) shows nothing'
            assert 'execution' not in c.get('metadata', {}), f'{p.name}: run times in a processed cell; headings of functions will be lost'

def test_outputs_are_stored():
    "A page whose cells were never run shows no values: a page with visible code that runs stores one output at least"
    bare = []
    for p in pages():
        cells = [c for c in p.cells if c['cell_type'] == 'code']
        shown = [c for c in cells if not cell_directives(text_of(c['source'])).keys() & {'hide', 'export', 'exporti', 'eval', 'default_exp'}]
        if shown and not any(c['outputs'] for c in cells): bare.append(str(p))
    assert bare == [], 'run these and store their outputs'

def test_architecture_lists_every_page():
    page = next(p for p in pages() if p.stem == 'architecture')
    listed = {m for c in page.cells for o in c.get('outputs', []) for m in re.findall(r'\]\(\.\./([^)]+)\)', text_of(o.get('data', {}).get('text/markdown', '')))}
    assert listed == {f'{p}.ipynb' for p in pages() if p.number is not None}, f'run nbs/{page}.ipynb again: its map of the pages is out of date'

def test_links(site):
    bad = [f'{p.name}: {url} ({why})' for p in site.pages for url in p.links() if (why := site.broken(p, url))]
    assert not bad, '\n'.join(['links that lead nowhere:', *bad])

def test_symbols_are_linked(site):
    "nbdev's index of symbols finds its way into the pages, or there would be no links to check"
    assert sum(url.startswith(site_address()) for p in site.pages for url in p.links()) > 10

def test_readme():
    nb = json.loads((root/'nbs'/'index.ipynb').read_text(encoding='utf-8'))
    assert (root/'README.md').read_text(encoding='utf-8') == readme_text(nb, site_address()), 'run `make export`'

def test_readme_links():
    text = re.sub(r'^(```|~~~).*?^\1', '', (root/'README.md').read_text(encoding='utf-8'), flags=re.S|re.M)
    local = [u.partition('#')[0] for u in re.findall(r'\]\(([^()\s]+)(?:\s+"[^"]*")?\)', text) if not re.match(r'[a-z]+:|#', u)]
    assert [u for u in local if not (root/unquote(u)).exists()] == []
