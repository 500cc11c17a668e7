"""Where papers and the code released with them differ, each: imitated, and by what, or not, and why.

The table of docs/method.md is this one (``python -m experiments.differences`` prints it), and
tests/experiments/test_differences.py holds both to the tests that are named here.
"""

from typing import NamedTuple

from experiments.sweep.table import table_lines

RELEASED, ORIGINAL, ALWAYS = "`--recipe released`", "`--recipe original`", "by default"


class Difference(NamedTuple):
    """What differs in a task; ``by`` what option it is imitated, empty where it is not; the tests that show it, or what
    is done instead; and, where it is not imitated, what is done and why."""

    task: str
    what: str
    by: str
    tests: tuple[str, ...]
    instead: str = ""


CLASSES, TASKS, QUESTIONS = "classification", "class-incremental", "questions"
CLASSIFICATION = "tests/experiments/classification/test_released.py::"
CONTINUAL = "tests/experiments/continual/test_released.py::"
AVQA = "tests/experiments/avqa/test_recipes.py::"

DIFFERENCES = (
    Difference("all", "noise N(0, std(g) + 1e-8) on the fusion's gradient after ξ, of the deviation before it",
               RELEASED, (CLASSIFICATION + "test_the_noise_has_the_deviation_of_the_gradient_before_xi",)),
    Difference("all", "γ is ignored", RELEASED,
               ("tests/experiments/classification/test_options.py::"
                "test_options_without_effect_and_values_out_of_range_are_refused",)),
    Difference(CLASSES, "ξ from epoch 60 on CREMA-D, elsewhere in all epochs; L_a + L_v from the first",
               RELEASED, ("tests/experiments/classification/test_options.py::test_the_papers_data_sets",
                "tests/iemf/training/test_step.py::test_xi_acts_in_its_window_alone")),
    Difference(CLASSES, "labels smoothed by 0.1 in every method's loss and in both heads'", RELEASED,
               (CLASSIFICATION + "test_labels_are_smoothed_in_every_methods_loss_and_in_both_heads",)),
    Difference(CLASSES, "LFM: CE of the fusion + L_align of the features, weight 1", RELEASED,
               ("tests/iemf/balance/test_methods.py::test_released_lfm_aligns_the_features",)),
    Difference(CLASSES, "LFM: batch 16, on CREMA-D lr 2e-3", RELEASED,
               (CLASSIFICATION + "test_batch_and_rate_of_lfm",)),
    Difference(CLASSES, "Nesterov momentum 0.9; weight decay 5e-4 on weights of two or more dimensions alone",
               RELEASED, (CLASSIFICATION + "test_weights_decay_and_biases_and_norms_do_not",)),
    Difference(CLASSES, "learning rate ×0.1 at epoch 70", RELEASED,
               ("tests/experiments/classification/test_options.py::test_paper_and_released_recipes",)),
    Difference(CLASSES, "a last batch that is not full is left out", RELEASED,
               (CLASSIFICATION + "test_the_last_incomplete_batch_is_left_out",)),
    Difference(CLASSES, "STFT padded with zeros", RELEASED,
               (CLASSIFICATION + "test_spectrograms_are_padded_with_zeros",)),
    Difference(CLASSES, "UrbanSound8K's test pictures resized to 256 and cut to 128", RELEASED,
               (CLASSIFICATION + "test_test_pictures_of_urbansound8k_are_cut_from_256_pixels",)),
    Difference(CLASSES, "SNN: norm gains of 1", RELEASED, (CLASSIFICATION + "test_norm_gains_are_one",)),
    Difference(CLASSES, "SNN: u = 0.5·u + 0.5·I, fires strictly above the threshold", RELEASED,
               (CLASSIFICATION + "test_the_node_halves_its_input_and_fires_strictly_above_the_threshold",
                "tests/iemf_snn/test_neuron.py::test_the_released_node_never_fires_on_it")),
    Difference(CLASSES, "log-STFT, where the paper's text says log-Mel", f"{ALWAYS}; `--spectrogram log-mel`",
               (CLASSIFICATION + "test_a_log_mel_spectrogram_by_choice",)),
    Difference(TASKS, "no attention distillation, no ReLUs", RELEASED,
               ("tests/experiments/continual/test_build.py::test_what_released_leaves_out",)),
    Difference(TASKS, "AV-CIL: ξ on the classifier's rate and the heads' losses and distillation in epochs "
               "20 to 70; behind them the rate stays", RELEASED,
               (CONTINUAL + "test_av_cil_has_xi_and_the_heads_in_a_window_and_keeps_the_rate_behind_it",
                "tests/iemf/continual/test_stage.py::test_heads_have_a_loss_in_their_window_alone",
                "tests/iemf/training/test_step.py::test_a_window_that_holds_repeats_its_last_xi_behind_it")),
    Difference(TASKS, "AV-CIL on AVE and K-S: Adam 1e-3; λ_I 0.1 on AVE", RELEASED,
               (CONTINUAL + "test_what_released_trains_with",)),
    Difference(TASKS, "LwF and SSIL: momentum 0.9, gradient clipped to 10 before ξ", RELEASED,
               (CONTINUAL + "test_what_released_trains_with", CONTINUAL + "test_the_gradient_is_clipped_before_xi",
                "tests/iemf/training/test_step.py::test_clipped_first_xi_acts_on_what_is_left")),
    Difference(TASKS, "VS100: ξ on Adam's rate", RELEASED, (CONTINUAL + "test_what_released_trains_with",)),
    Difference(TASKS, "Pian et al.: Adam 1e-3, weight decay 1e-4, 200 epochs; LwF and SSIL on K-S 100",
               ORIGINAL, (CONTINUAL + "test_epochs_of_original_on_kinetics_sounds",
                          "tests/experiments/continual/test_options.py::test_what_the_recipes_set")),
    Difference(QUESTIONS, "padded behind, the LSTM reads the padding", ALWAYS,
               ("tests/iemf/avqa/test_answer.py::test_words_are_padded_behind",)),
    Difference(QUESTIONS, "no tanh around the fusion", RELEASED, (AVQA + "test_the_activations_around_the_fusion",)),
    Difference(QUESTIONS, "momentum 0.9, ×0.1 every 15 epochs", RELEASED,
               (AVQA + "test_what_the_recipes_train_with",)),
    Difference(QUESTIONS, "Li et al.: Adam 1e-4, ×0.1 every 8 epochs; 20 epochs (baseline), 80 (ST-AVQA)", ORIGINAL,
               (AVQA + "test_what_the_recipes_train_with",)),
    Difference(QUESTIONS, "stage 1: Adam 1e-4, ×0.1 every 8 epochs, batch 64, 30 epochs, whatever stage 2 has",
               ALWAYS,
               (AVQA + "test_stage_1_is_the_same_in_every_recipe",)),
    Difference(QUESTIONS, "stage 1: the first ten seconds of real videos, beside a frame of any other of them", ALWAYS,
               ("tests/iemf/avqa/test_match.py::test_items_are_the_first_ten_seconds_of_every_video_once",
                "tests/iemf/avqa/test_pairs.py::test_every_frame_of_every_other_video_is_as_likely",
                "tests/iemf/avqa/test_pairs.py::test_the_match_loss_is_cross_entropy_over_interleaved_pairs")),
    Difference(QUESTIONS, "stage 2: at every time a frame of any other video of the split", ALWAYS,
               ("tests/iemf/avqa/test_match.py::"
                "test_stage_2_draws_any_second_of_any_other_video_of_the_split_for_every_time",)),
    Difference("all", "in mixed precision no method and no ξ acts", "",
               ("tests/iemf/test_micro_batches.py::test_and_with_a_scaled_loss",),
               "an oversight: gradients are unscaled, then both act"),
    Difference(CLASSES, "the \"SNN\" is a network of ReLUs with one step", "",
               ("tests/iemf/test_network.py::test_relu_and_lif_and_every_T_give_different_outputs",),
               "LIF neurons: the paper is about them"),
    Difference(CLASSES, "the epoch is chosen on the test split", "",
               ("tests/experiments/classification/test_processes.py::"
                "test_the_test_split_is_read_once_with_the_best_epochs_weights",),
               "on validation; test is read once"),
    Difference(CLASSES, "MSLR's ratios are of test accuracies, without IEMF those of untrained heads", "",
               ("tests/iemf/classification/test_stage.py::test_the_method_sees_validation_and_its_state_is_the_stages",),
               "of validation accuracies of heads that are trained, on detached features"),
    Difference(CLASSES, "UrbanSound8K-AV: the first 70 % of each class by the order of a directory", "",
               ("tests/iemf/data/sets/test_urbansound8k_av.py::"
                "test_the_split_of_urbansound_is_seven_to_three_in_every_class",),
               "a seeded, stratified split: the order differs from disk to disk"),
    Difference(CLASSES, "the cost of Fig. 2 g is not in the code", "",
               ("tests/iemf/analysis/test_cost.py::test_cost_by_hand",), "by the text's formula; FLOPs by PyTorch"),
    Difference(TASKS, "deviations in plots divide by n", "",
               ("tests/experiments/sweep/test_statistics.py::test_mean_and_deviation_by_hand",), "by n − 1"),
    Difference(QUESTIONS, "evaluation joins answers by position: wrong in batches larger than one, or shuffled", "",
               ("tests/iemf/avqa/test_accuracy.py::test_predictions_are_joined_by_id",), "joined by question id"),
)  # fmt: skip


def markdown() -> str:
    """Two tables: what is imitated, and what is not."""
    done = [[each.task, each.what, each.by] for each in DIFFERENCES if each.by]
    left = [[each.task, each.what, each.instead] for each in DIFFERENCES if not each.by]
    return "\n\n".join([table_lines(["task", "what the code does", "imitated"], done), "Not imitated:",
                        table_lines(["task", "what the code does", "here"], left)])  # fmt: skip


if __name__ == "__main__":
    print(markdown())
