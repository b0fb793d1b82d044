"""Trains digits-cnn and writes every generated file of its folder."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER.parent))

import keras
from keras import layers

import datasets
import evaluation
import keras_recipe
import recipe

LAYOUT = "NHWC"
SEED = 20
EPOCHS = 40
BATCH = 64


def network() -> keras.Model:
    """The convolutional net of the Keras MNIST example, with a hidden dense layer."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name=recipe.INPUT),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.3, seed=SEED),
            layers.Dense(64, activation="relu", name="dense1"),
            layers.Dropout(0.3, seed=SEED + 1),
            layers.Dense(10, activation="softmax", name="dense2"),
        ],
        name="digits_cnn",
    )


def augmentation() -> keras.Sequential:
    """Turns by up to 10 degrees, shifts and scales by up to 10 %."""
    return keras.Sequential(
        [
            layers.RandomRotation(10 / 360, fill_mode="constant", seed=SEED + 2),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant", seed=SEED + 3),
            layers.RandomZoom(0.1, fill_mode="constant", seed=SEED + 4),
        ]
    )


def main() -> None:
    keras_recipe.reproducible(SEED)
    data = datasets.digits()
    model = network()
    epoch = keras_recipe.batches(data.train, BATCH, augmentation(), SEED)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(epoch))
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    # The test set plays no part in training: the last epoch is the model.
    model.fit(epoch, epochs=EPOCHS, shuffle=False, verbose=2)

    exported = FOLDER / "digits-cnn.onnx"
    keras_recipe.export(model, exported, LAYOUT)
    recipe.write_calibration(FOLDER / "calibration.npz", data.train, LAYOUT, n_per_class=20)
    recipe.write_samples(FOLDER / "samples", data.test, {"two": 2, "four": 4, "seven": 7}, enlarged="seven")
    accuracy = recipe.float_accuracy(exported, evaluation.test_set("digits-cnn"))
    print(f"test accuracy under onnxruntime: {accuracy:.4f}  (goes into model.toml)")


if __name__ == "__main__":
    main()
