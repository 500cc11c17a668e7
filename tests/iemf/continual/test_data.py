"""What a benchmark must hold."""

import pytest

from iemf.continual.data import check_classes
from iemf.errors import UserError
from tests.iemf.small import blobs


def test_a_class_without_samples_is_named():
    data = blobs()
    data.val.labels[data.val.labels == 4] = 3
    with pytest.raises(UserError, match="class 'e' has no sample in val"):
        check_classes(data)
