//! The peers' numbers, from `peers.toml`, which says where they come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a peer needs for a model on a board.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Of one inference.
    pub instructions: u64,
    /// Tensors and scratch.
    pub arena_bytes: Option<u64>,
    /// Flash without the model.
    pub program_bytes: Option<u64>,
    /// Deepest stack seen.
    pub stack_bytes: Option<u64>,
}

/// What the peer needs; `None` where nobody measured.
pub fn find(model: &str, board: &str) -> Option<Peer> {
    let mut file = file();
    file.models.remove(model)?.boards.remove(board)
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "name")]
    _name: String,
    #[serde(flatten)]
    models: BTreeMap<String, Model>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "model_bytes")]
    _model_bytes: u64,
    #[serde(flatten)]
    boards: BTreeMap<String, Peer>,
}

fn file() -> File {
    toml::from_str(include_str!("peers.toml")).expect("a test reads the embedded file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_file_is_sound() {
        assert_eq!(file().models.len(), 4);
        assert_eq!(find("kws", "mps2-an386").unwrap().instructions, 7_701_234);
        assert_eq!(find("kws", "nrf52840-dk"), None);
        assert_eq!(find("digits-cnn", "mps2-an386"), None);
    }
}
