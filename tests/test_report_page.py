"""What somebody sees who was sent a report: the page of HTML, the page of errors, and what a collector of scores says of itself."""
import re
from html.parser import HTMLParser
import numpy as np
import pandas as pd
import pytest
from vidnb.cli import main
from vidnb.core.testing import test_same as same
from vidnb.metrics.report import EvalReport

class Page(HTMLParser):
    "Tags that stand open at the end, addresses that are asked for, and text by tag"
    def __init__(self, text):
        super().__init__()
        self.open, self.urls, self.words, self.alts = [], [], {}, []
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.urls += [v for k,v in attrs.items() if k in ('src', 'href')]
        if tag == 'img': self.alts.append(attrs.get('alt'))
        if tag not in ('meta', 'img', 'input'): self.open.append(tag)
    def handle_startendtag(self, tag, attrs): pass   # <path/> and <rect/> of a drawing
    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f'</{tag}> while {self.open[-3:]} are open'
        self.open.pop()
    def handle_data(self, data): self.words.setdefault(self.open[-1] if self.open else '', []).append(data)

def box(f, i, x): return f'{f},{i},{x},10,20,50,1,1,1\n'

@pytest.fixture
def street(tmp_path):
    "Two people over four frames; one tracker finds both, the other one loses the second in the end"
    gt = tmp_path/'gt'/'A-01'/'gt'
    gt.mkdir(parents=True)
    (gt/'gt.txt').write_text(''.join(box(f, i, 100*i + f) for f in range(1, 5) for i in (1, 2)))
    for name,ends in (('good', 5), ('poor', 3)):
        (tmp_path/name).mkdir()
        (tmp_path/name/'A-01.txt').write_text(''.join(box(f, i, 100*i + f) for f in range(1, 5) for i in (1, 2) if i == 1 or f < ends))
    return tmp_path

def test_page_of_two_trackers(street, capsys):
    args = ['eval', 'mot', '--truth', str(street/'gt'), '--pred', str(street/'good'), str(street/'poor'), '--out', str(street/'out')]
    same(main(args), 0)
    text = (street/'out'/'report.html').read_text()
    page = Page(text)
    same(page.open, [])
    assert all(u.startswith('data:image/png;base64,') for u in page.urls) and page.urls, 'the page asks for another file'
    assert 'vidnb ' + ' '.join(args) in ''.join(page.words['pre'])     # how it was made
    poor = (6/8 * (4*1 + 2*.5)/6)**.5     # six boxes of eight; four of them in a whole track, two in one that is half
    same(page.alts[0], f'curves of HOTA: HOTA over IoU threshold; good 1.000, poor {poor:.3f}')
    rows = [re.findall(r'<(?:th|td)([^>]*)>([^<]*)', r) for r in re.findall(r'<tr.*?</tr>', text)[1:3]]
    best = {name: [v for k,v in cells if 'best' in k] for (_,name),*cells in rows}
    assert '0' in best['good'] and '1.00000' in best['good'], best      # no misses, all found
    same('2' in best['poor'], False)

def test_digits_of_a_page_are_those_of_the_text(street, capsys):
    same(main(['eval', 'mot', '--truth', str(street/'gt'), '--pred', str(street/'poor'), '--out', str(street/'out')]), 0)
    text, table = (street/'out'/'report.html').read_text(), pd.read_csv(street/'out'/'scores.csv', index_col=0)
    for v in table.loc['COMBINED', ['HOTA', 'MOTA', 'IDF1']]: assert f'<td>{v:.5f}</td>' in text
    assert f'<dt>HOTA</dt><dd>{table.HOTA["COMBINED"]:.3f}</dd>' in text
    same(text.count('class="whole"'), 1)

def test_tables_of_any_kind():
    odd = pd.DataFrame({('a', 'b'): [1.5, np.nan], ('a', '<c>'): [None, True]}, pd.MultiIndex.from_tuples([('x', .25), ('y', .5)], names=['n', None]))
    report = EvalReport('odd', {'odd': odd, 'empty': odd[:0]})
    page = Page(report.html())
    same(page.open, [])
    assert 'a / <c>' in page.words['button'] and '0.25' in page.words['th'] and '–' in page.words['td']
    same(Page(report._repr_html_()).open, [])

def test_errors_from_the_shell(street, capsys):
    same(main(['errors', '--truth', str(street/'gt'/'A-01'), '--pred', str(street/'poor'/'A-01.txt'), '--out', str(street/'errors.html')]), 0)
    assert '4 frames: 6 matches, 0 switches, 0 false positives, 2 misses' in capsys.readouterr().out
    page = Page((street/'errors.html').read_text())
    same(page.open, [])
    same([u for u in page.urls if u], [])
    assert '4 frames: 6 matches, 0 switches, 0 false positives, 2 misses; 2 of the frames are here' in page.words['p']
    same(main(['errors', '--truth', str(street/'none'), '--pred', str(street/'poor'/'A-01.txt')]), 1)

def collectors():
    from vidnb.metrics.detection_ap import BoxAPMetrics
    from vidnb.metrics.mot import MOTMetrics
    from vidnb.metrics.mot_classes import MOTClassMetrics
    from vidnb.metrics.reid import ReIDMetrics
    from vidnb.metrics.sot import SOTMetrics
    from vidnb.metrics.track_ap import TrackAPMetrics
    from vidnb.metrics.video_ap import VIDMetrics
    from vidnb.metrics.vis_ap import VISMetrics
    from vidnb.metrics.vos import VOSMetrics
    from vidnb.metrics.vot import VOTAnchorMetrics, VOTMetrics
    return [BoxAPMetrics({1: 'a'}), MOTMetrics(), MOTClassMetrics(['a']), ReIDMetrics(), SOTMetrics(), TrackAPMetrics({1: 'a'}), VIDMetrics(), VISMetrics(), VOSMetrics(), VOTAnchorMetrics(), VOTMetrics()]

def test_collectors_say_what_they_are():
    for m in collectors(): same(repr(m), f'{type(m).__name__} of nothing yet; add(...) a video')

def test_collectors_show_their_scores():
    from vidnb.metrics.mot import MOTMetrics, mot_scene
    from vidnb.metrics.sot import SOTMetrics
    m, b = MOTMetrics(), np.array([[5.,5,15,15]]*2)
    m.add('a', mot_scene([1,2], [1,1], b, [1,2], [1,2], b))
    same(repr(m), f'MOTMetrics of 1 part: HOTA {m.value["HOTA"]:.3f}, MOTA 0.500, IDF1 0.500')
    s = SOTMetrics('otb')
    s.add('a', b, b)
    assert repr(s).startswith(f'SOTMetrics of 1 part: success {s.value["success"]:.3f}, precision 1.000')
