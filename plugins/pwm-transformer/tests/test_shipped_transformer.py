"""The contract and the shipped weights of this package's methods."""

from pwm_learned.testing import shipped_tests

from pwm_core.testing import checks_for

test_restormer = checks_for("restormer")
test_restormer_weights, test_restormer_invents_nothing, test_restormer_is_reproduced = shipped_tests(
    "restormer"
)
test_spectraformer = checks_for("spectraformer")
test_spectraformer_weights, test_spectraformer_invents_nothing, test_spectraformer_is_reproduced = (
    shipped_tests("spectraformer")
)
test_swin_video = checks_for("swin-video")
test_swin_video_weights, test_swin_video_invents_nothing, test_swin_video_is_reproduced = shipped_tests(
    "swin-video"
)
test_swinir = checks_for("swinir")
test_swinir_weights, test_swinir_invents_nothing, test_swinir_is_reproduced = shipped_tests("swinir")
