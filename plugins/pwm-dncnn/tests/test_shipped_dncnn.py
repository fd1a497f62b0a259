"""The contract and the shipped weights of this package's methods."""

from pwm_learned.testing import shipped_tests

from pwm_core.testing import checks_for

test_dncnn = checks_for("dncnn")
test_dncnn_weights, test_dncnn_invents_nothing, test_dncnn_is_reproduced = shipped_tests("dncnn")
test_red_cnn = checks_for("red-cnn")
test_red_cnn_weights, test_red_cnn_invents_nothing, test_red_cnn_is_reproduced = shipped_tests("red-cnn")
test_unet = checks_for("unet")
test_unet_weights, test_unet_invents_nothing, test_unet_is_reproduced = shipped_tests("unet")

test_noise2void = checks_for(
    "noise2void", expect={"data_fit_improves": "the kit's eight steps teach a network nothing"}
)
