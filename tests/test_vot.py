"""VOT: masks, the toolkit's files, and its numbers

The literals marked *toolkit* were printed by `vot-toolkit` 0.9.0 for the same files: `calculate_overlaps`, the analyses `multistart_average_ar`, `multistart_eao_curve`,
`supervised_average_ar`, `supervised_eao_curve` and `cumulative_failures`. The toolkit is not needed here."""
import tracemalloc
import numpy as np
import pytest
from vidnb.core.testing import expect_error
from vidnb.datasets.region_files import pack_regions, parse_regions, read_regions, regions_text, unpack_regions, write_regions
from vidnb.datasets.sot_files import read_vot_trajectory
from vidnb.datasets.sot_report import sot_report, sot_truth
from vidnb.datasets.vot_workspace import find_vot_runs, write_vot_runs
from vidnb.metrics.region_masks import mask_lines, masks_from_pictures, parse_mask_lines
from vidnb.metrics.regions import as_trajectory, mask2region, parse_region, region_overlaps
from vidnb.metrics.vot import VOTAnchorMetrics, VOTMetrics, combine_repetitions, vot_counts

def near(a, b, eps=1e-12): np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=0, atol=eps)

# a workspace, made without chance ----------------------------------------------------------------------------------------------------

W, H = 64, 48
def place(i, j): return 20 + j*3 + (i*(3+j)) % 23, 16 + (i*(5-j)) % 17
def draw(kind, x, y, r):
    if kind == 'mask':
        yy, xx = np.mgrid[:H,:W]
        return ((xx-x)**2 + 2*(yy-y)**2 < r*r) & ((xx*3+yy*5) % 11 != 0)
    return [x-r, y-r, 2*r+.5, 2*r-.25] if kind == 'box' else [x-r, y, x, y-r*.7, x+r*.9, y+1.5, x-.5, y+r]

FILMS = {'disc': ('mask', 46), 'kite': ('polygon', 60), 'card': ('box', 53)}
def truth(name, j):
    kind, n = FILMS[name]
    return [[0] if i % 19 == 13 else draw(kind, *place(i, j), 6+j) for i in range(n)]
def answer(i, j, k):
    "Tracker k: drifts, gets lost now and then, changes its mind about the kind of region"
    x, y = place(i, j)
    lost = (i + 7*k + 5*j) % 41 > 26
    return [0] if i % 23 == 17 else draw(('mask', 'box', 'polygon')[(i//6 + k) % 3], x + (i % 5) + 40*lost, y + k, 6 + j)

def anchors_of(name):
    n = FILMS[name][1]
    return {a: 1 if n-a >= a else -1 for a in range(0, n, 15)}

def build(root, anchors):
    for j,name in enumerate(FILMS):
        kind, n = FILMS[name]
        p = root/'sequences'/name
        write_regions(truth(name, j)[:n - 2*(name == 'kite')], p/'groundtruth.txt')          # that of the kite ends early
        (p/'sequence').write_text(f'name={name}\nwidth={W}\nheight={H}\nlength={n}\n')
        signs = anchors_of(name)
        (p/'anchor.value').write_text(''.join(f'{signs.get(i, 0)}\n' for i in range(n)))
        for k,t in enumerate(('one', 'two')):
            if anchors: runs = {a: [[1]] + [answer(i, j, k) for i in (range(a+1, n) if s > 0 else range(a-1, -1, -1))] for a,s in signs.items()}
            else: runs = {m+1: [{0: [1], 1: [2], 2: [0], 3: [0], 4: [0], 5: [0], 6: [1]}.get(i if i == 0 else i % (16+5*m+3*k) - 10, answer(i, j, k)) for i in range(n)] for m in range(1 + j)}
            write_vot_runs({name: runs}, root/'results'/t, anchors, binary=t == 'one')
    (root/'sequences'/'list.txt').write_text('\n'.join(FILMS))
    return root

# the toolkit's numbers ---------------------------------------------------------------------------------------------------------------

ANCHORS = dict(one=dict(eao=0.31245645316, accuracy=0.363559664842, robustness=0.508962801911), two=dict(eao=0.289270988485, accuracy=0.371902637881, robustness=0.36324156142))   # toolkit
ANCHOR_FILMS = dict(one=[(0.355074020251, 1.0), (0.345449975325, 0.403314917127), (0.440877211953, 0.202380952381)], two=[(0.360597621162, 0.253246753247), (0.384340469644, 0.342541436464), (0.367825478408, 0.482142857143)])
ANCHOR_CURVE = dict(one=[0.403170213, 0.325199148, 0.333445767, 0.336114592, 0.263416467], two=[0.37492433, 0.324987118, 0.317643981, 0.303457062, 0.248913273])
SUPERVISED = dict(one=dict(eao=0.246233492997, accuracy=0.303092193082, weighted_failures=2.966457023061, reliability=0.186536823038, failures=8.833333333333),   # toolkit
                  two=dict(eao=0.225935418394, accuracy=0.289405835991, weighted_failures=2.488469601677, reliability=0.244493220355, failures=7.333333333333))
SUPERVISED_FILMS = dict(one=[(0.411876754441, 3.0), (0.305970641278, 3.5), (0.205416783379, 2.333333333333)], two=[(0.133152173913, 2.0), (0.308134453164, 3.0), (0.403820013826, 2.333333333333)])
SUPERVISED_CURVE = dict(one=[0.225608739, 0.195199621, 0.275974474, 0.286753378, 0.184773712], two=[0.330434413, 0.266317463, 0.311676276, 0.260221117, 0.168455935])
AT = [1, 2, 5, 10, 19]

def test_anchors_as_the_toolkit_scores_them(tmp_path):
    films = sot_truth(build(tmp_path, True), 'vot2020')
    for t,want in ANCHORS.items():
        m, runs = VOTAnchorMetrics((5, 20)), find_vot_runs(tmp_path/'results'/t, True)
        assert {p.suffix for o in runs.values() for p in o.values()} == {'.bin' if t == 'one' else '.txt'}
        for s in films: m.add(s.name, s.regions, {a: read_regions(p) for a,p in runs[s.name].items()}, [a for a,g in anchors_of(s.name).items() if g < 0], s.size)
        near([m.value[k] for k in want], list(want.values()), 1e-11)
        near(m.table().loc[list(FILMS), ['accuracy', 'robustness']], ANCHOR_FILMS[t], 1e-11)
        near(m.curve[AT], ANCHOR_CURVE[t], 1e-9)
    r = sot_report(tmp_path, tmp_path, 'vot2020')
    for t,want in ANCHORS.items(): near(r.table.loc[t, ['accuracy', 'robustness']].astype(float), [want['accuracy'], want['robustness']], 1e-11)

def test_supervised_as_the_toolkit_scores_it(tmp_path):
    films = sot_truth(build(tmp_path, False), 'vot2019')
    for t,want in SUPERVISED.items():
        m, runs = VOTMetrics((5, 20)), find_vot_runs(tmp_path/'results'/t, False)
        assert [len(runs[n]) for n in FILMS] == [1, 2, 3]
        for s in films: m.add(s.name, combine_repetitions([vot_counts(s.regions, read_regions(p), s.size) for p in runs[s.name].values()]))
        near([m.value[k] for k in want], list(want.values()), 1e-7)                      # the toolkit's curve has 32 bits
        near(m.table().loc[list(FILMS), ['accuracy', 'failures']], SUPERVISED_FILMS[t], 1e-11)
        near(m.curve[AT], SUPERVISED_CURVE[t], 1e-7)
    r = sot_report(tmp_path, tmp_path, 'vot2019')
    for t,want in SUPERVISED.items(): near(r.table.loc[t, ['accuracy', 'failures', 'reliability']].astype(float), [want[k] for k in ('accuracy', 'failures', 'reliability')], 1e-11)

OVERLAPS = { # toolkit
    None:
    [[1, 0, 0, .542056, 0, 0, .205128, 0, 0],
     [0, 1, .141732, 0, .238806, 0, 0, .028037, 0],
     [0, .141732, 1, 0, .031646, 0, .006154, 0, 0],
     [.542056, 0, 0, 1, 0, .005587, .328244, 0, 0],
     [0, .238806, .031646, 0, 1, .016949, 0, .191781, .008696],
     [0, 0, 0, .005587, .016949, 1, .071651, .202797, .020772],
     [.205128, 0, .006154, .328244, 0, .071651, 1, .013861, 0],
     [0, .028037, 0, 0, .191781, .202797, .013861, 1, .35809],
     [0, 0, 0, 0, .008696, .020772, 0, .35809, 1]],
    (30,24):
    [[1, 0, 0, .542056, 0, 0, .267943, 0, 0],
     [0, 0, 0, 0, 0, 0, 0, 0, 0],
     [0, 0, 0, 0, 0, 0, .010417, 0, 0],
     [.542056, 0, 0, 1, 0, .01087, .434343, 0, 0],
     [0, 0, 0, 0, 0, 0, 0, 0, 0],
     [0, 0, 0, .01087, 0, 0, .005208, 0, 0],
     [.267943, 0, .010417, .434343, 0, .005208, 1, 0, 0],
     [0, 0, 0, 0, 0, 0, 0, 0, 0],
     [0, 0, 0, 0, 0, 0, 0, 0, 0]]}

@pytest.mark.parametrize('bounds', OVERLAPS)
def test_overlaps_of_all_kinds_of_regions(bounds):
    regions = [parse_region(l) for l in regions_text([draw(k, *place(i, j), 6+j) for j,k in enumerate(('mask', 'polygon', 'box')) for i in (0, 3, 9)]).split()]
    for i,r in enumerate(regions):
        want = OVERLAPS[bounds][i]
        near(region_overlaps([r]*9, regions, bounds), want, 1e-6)
        near(region_overlaps(regions, [r]*9, bounds), want, 1e-6)

# masks -------------------------------------------------------------------------------------------------------------------------------

def test_masks_come_back_from_text_bytes_and_pictures(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.random(rng.integers(1, 40, 2)) < rng.choice([0, .02, .5, .98, 1]) for _ in range(60)]
    pictures = [p if p.any(0).sum() != 1 else np.pad(p, ((0,0), (0,1)), constant_values=True) for p in pictures]   # a mask of one column is none in text
    masks = masks_from_pictures(pictures)
    for i,p in enumerate(pictures): np.testing.assert_array_equal(masks.picture(i, p.shape[::-1]), p)
    np.testing.assert_array_equal(parse_mask_lines(mask_lines(masks)).pieces, masks.pieces)
    track = as_trajectory(pictures)
    for name in ('a.txt', 'a.bin'):
        back = read_regions(write_regions(track, tmp_path/name))
        np.testing.assert_array_equal(back.masks.pieces, masks.pieces)
        np.testing.assert_array_equal(back.masks.at, masks.at)
    np.testing.assert_array_equal(masks[::-3].pixels, [p.sum() for p in pictures[::-3]])

def test_masks_against_counting_pixels():
    rng = np.random.default_rng(1)
    a, b = ([(rng.random((30,40)) < rng.choice([.1, .6, .95])) & (np.hypot(*np.mgrid[-15:15,-20:20]) < rng.integers(4, 25)) for _ in range(80)] for _ in range(2))
    near(region_overlaps(a, b), [(x & y).sum()/(x | y).sum() for x,y in zip(a, b)])
    near(region_overlaps(a, b, (25, 18)), [(x & y)[:18,:25].sum()/max((x | y)[:18,:25].sum(), 1) for x,y in zip(a, b)])
    shifted = [mask2region(p, -7, 5) for p in b]
    near(region_overlaps(a, shifted, (40, 30)), [(x & y).sum()/(x | y).sum() for x,y in zip(a, (np.pad(p, ((5,0), (0,7)))[:30,7:] for p in b))])

def test_a_full_hd_film_of_masks_stays_small():
    yy, xx = np.mgrid[:1080,:1920]
    line, = mask_lines(masks_from_pictures([np.hypot(xx-900, yy-500) < 270]))
    moved, = mask_lines(masks_from_pictures([np.hypot(xx-1000, yy-500) < 270]))
    text = (line + '\n')*1500
    tracemalloc.start()
    a, b = parse_regions(text), parse_regions((moved + '\n')*1500)
    iou = region_overlaps(a, b, (1920, 1080))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250e6 < 1500*1920*1080/10, f'{peak/1e6:.0f} MB'
    x, y = np.hypot(xx-900, yy-500) < 270, np.hypot(xx-1000, yy-500) < 270
    near(iou, np.full(1500, (x & y).sum()/(x | y).sum()))

# files -------------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('cut', [1, 5, 6, 7, 12, 20, 30])
def test_bytes_that_end_early(cut):
    raw = pack_regions([[1], [1,2,3,4], [0,0,5,0,5,5], np.ones((3,4), bool)])
    with expect_error(ValueError, 'b'): unpack_regions(raw[:cut], 'b')
    assert len(unpack_regions(raw, 'b')) == 4

def test_a_run_in_bytes_is_a_result_as_any_other(tmp_path):
    run = [[1], [5,5,9,9], np.eye(4, dtype=bool), [2]]
    write_vot_runs({'cup': {1: run}}, tmp_path/'t', False, binary=True)
    t = read_vot_trajectory(find_vot_runs(tmp_path/'t', False)['cup'][1])
    assert t.code.tolist() == [1, -1, -1, 2] and t.masks.pixels.tolist() == [0, 0, 4, 0] and t.failed.tolist() == [3]
    assert regions_text(t) == '1\n5,5,9,9\nm0,0,4,4,0,1,4,1,4,1,4,1\n2\n'

def test_truth_that_is_no_region_is_named(tmp_path):
    build(tmp_path, True)
    gt = tmp_path/'sequences'/'disc'/'groundtruth.txt'
    lines = gt.read_text().splitlines()
    for bad,why in (('m1,1,2,2,9', 'groundtruth.txt:4: the numbers of the mask add up to 9 pixels; its box of 2 x 2 has 4'), ('1,2,3', 'groundtruth.txt:4 has 3 numbers'), ('nan,1,2,3', 'groundtruth.txt:4 is partly NaN')):
        gt.write_text('\n'.join([*lines[:3], bad, *lines[4:]]))
        with expect_error(ValueError, why): sot_report(tmp_path, tmp_path, 'vot2020')
    gt.write_text('\n'.join(lines))
    short = tmp_path/'results'/'two'/'baseline'/'card'/'card_00000015.txt'
    short.write_text('\n'.join(short.read_text().splitlines()[:-1]))
    with expect_error(ValueError, 'card: the run from anchor 15 has 37 frames, 38 lie behind it'): sot_report(tmp_path, tmp_path, 'vot2020')
    short.unlink()
    with expect_error(ValueError, 'card has no run from anchor 15'): sot_report(tmp_path, tmp_path, 'vot2020')
