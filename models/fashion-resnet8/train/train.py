"""Trains fashion-resnet8 and writes every generated file of its folder."""

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

LAYOUT = "NCHW"
SEED = 8
EPOCHS = 12
BATCH = 128


def network() -> keras.Model:
    """ResNet-8 as in MLPerf Tiny's image classification, for 28x28 gray pictures."""
    image = keras.Input((28, 28, 1), name=recipe.INPUT)
    x = convolution(image, 16, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    for stage, (channels, stride) in enumerate([(16, 1), (32, 2), (64, 2)], start=1):
        x = residual_block(x, channels, stride, name=f"stage{stage}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(10, activation="softmax", name="dense")(x)
    return keras.Model(image, x, name="fashion_resnet8")


def residual_block(x, channels: int, stride: int, name: str):
    shortcut = x
    if stride != 1:
        shortcut = layers.Conv2D(channels, 1, stride, "same", name=f"{name}_shortcut")(x)
    x = convolution(x, channels, stride, name=f"{name}_a")
    x = layers.ReLU(name=f"{name}_a_relu")(x)
    x = convolution(x, channels, name=f"{name}_b")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def convolution(x, channels: int, stride: int = 1, *, name: str):
    """A 3x3 convolution and its batch normalization, which replaces the bias."""
    x = layers.Conv2D(channels, 3, stride, "same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
    # Twelve epochs are too few for the default momentum of 0.99 to settle.
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


def augmentation() -> keras.Sequential:
    """Mirrors left to right, shifts by up to two pixels."""
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=SEED + 2),
            layers.RandomTranslation(2 / 28, 2 / 28, fill_mode="constant", interpolation="nearest", seed=SEED + 3),
        ]
    )


def main() -> None:
    keras_recipe.reproducible(SEED)
    data = datasets.fashion()
    model = network()
    epoch = keras_recipe.batches(data.train, BATCH, augmentation(), SEED)
    schedule = keras.optimizers.schedules.CosineDecay(4e-3, EPOCHS * len(epoch))
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-2),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    # The test set plays no part in training: the last epoch is the model.
    model.fit(epoch, epochs=EPOCHS, shuffle=False, verbose=2)

    exported = FOLDER / "fashion-resnet8.onnx"
    keras_recipe.export(model, exported, LAYOUT)
    recipe.write_calibration(FOLDER / "calibration.npz", data.train, LAYOUT, n_per_class=20)
    names = {"trouser": 1, "sneaker": 7, "ankle-boot": 9}
    recipe.write_samples(FOLDER / "samples", data.test, names, enlarged="ankle-boot")
    accuracy = recipe.float_accuracy(exported, evaluation.test_set("fashion-resnet8"))
    print(f"test accuracy under onnxruntime: {accuracy:.4f}  (goes into model.toml)")


if __name__ == "__main__":
    main()
