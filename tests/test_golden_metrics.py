"Recognition metrics against the numbers that the seed's own functions gave (golden group A)."
import numpy as np
import pytest
from vidnb.core.testing import golden, test_same as same
from vidnb.metrics import recognition

names = ['confusion_matrix', 'mean_class_accuracy', 'top_k_accuracy', 'softmax', 'get_weighted_score']

def cases(name): return {k:c for k,c in golden('A_evaluation').items() if k.split('/')[0] == name and 'errors' not in k}

@pytest.mark.parametrize('name,n', list(zip(names, [18, 4, 12, 6, 4])))
def test_values(name, n):
    found = cases(name)
    assert len(found) >= n, f'{len(found)} golden cases of {name}'
    for k,c in found.items():
        got = getattr(recognition, name)(**c['inputs'], **c['params'])
        same(got, c['expected'], eps=0 if name == 'top_k_accuracy' else c.get('atol', 1e-12), where=k)

def test_errors():
    "Each recorded call that the seed refused is refused with the same type of exception"
    cs = [e for k,c in golden('A_evaluation').items() if k.startswith('confusion_matrix/errors') for e in c['expected']['cases']]
    assert len(cs) >= 4
    for e in cs:
        with pytest.raises({'ValueError':ValueError, 'TypeError':TypeError}[e['raises']]):
            eval(e['call'], {'confusion_matrix': recognition.confusion_matrix})

def test_present_only():
    "The mended mean is the golden one wherever every predicted class also occurs"
    cs = cases('mean_class_accuracy')
    differ = 0
    for c in cs.values():
        scores, labels = c['inputs']['scores'], c['inputs']['labels']
        only_predicted = {int(np.argmax(s)) for s in scores} - set(labels)
        got = recognition.mean_class_accuracy(scores, labels, present_only=True)
        recall = [np.mean([np.argmax(s) == l for s,m in zip(scores, labels) if m == l]) for l in sorted(set(labels))]
        same(got, float(np.mean(recall)), eps=1e-12)
        if only_predicted: assert got*len(recall) == pytest.approx(c['expected']*(len(recall)+len(only_predicted)))
        differ += bool(only_predicted)
    print(f'{differ} of {len(cs)} golden cases have a class that is only predicted')

def test_int_topk_and_tensors():
    torch = pytest.importorskip('torch')
    c = cases('top_k_accuracy')['top_k_accuracy/0/1-3']
    scores, labels = c['inputs']['scores'], c['inputs']['labels']
    same(recognition.top_k_accuracy(scores, labels, 3), c['expected'][1:])
    same(recognition.top_k_accuracy(torch.tensor(np.stack(scores)), torch.tensor(labels), (1,3)), c['expected'])

def test_order_of_samples_and_batches():
    "Figures do not depend on the order of samples, and uneven batches add up"
    rng = np.random.default_rng(3)
    s, l = rng.integers(0, 5, (301,7)).astype(float), rng.integers(0, 7, 301)
    for perm in (rng.permutation(301), np.arange(301)[::-1]):
        same(recognition.top_k_accuracy(s[perm], l[perm], (1,2,5)), recognition.top_k_accuracy(s, l, (1,2,5)))
        same(recognition.mean_class_accuracy(s[perm], l[perm]), recognition.mean_class_accuracy(s, l))
    p = s.argmax(1)
    parts = [recognition.confusion_matrix(p[a:b], l[a:b], n_classes=7) for a,b in ((0,1), (1,64), (64,301))]
    same(sum(parts), recognition.confusion_matrix(p, l, n_classes=7))
    sizes = [1, 63, 237]
    acc = [recognition.top_k_accuracy(s[a:b], l[a:b], 2)[0] for a,b in ((0,1), (1,64), (64,301))]
    assert np.dot(acc, sizes)/301 == pytest.approx(recognition.top_k_accuracy(s, l, 2)[0])
