//! Which classes are taken for which.

use super::numbers::percent;
use crate::metrics::top1;
use serde::Serialize;

/// Counts of true and predicted classes, of the float model and of the image.
pub(super) struct Confusion {
    n_classes: usize,
    /// `[label][predicted]` as rows.
    reference: Vec<u32>,
    image: Vec<u32>,
}

impl Confusion {
    /// Nothing counted; `None` when there are more classes than a table has room for.
    pub fn new(n_classes: usize) -> Option<Self> {
        let cells = vec![0; n_classes * n_classes];
        (n_classes <= MOST_CLASSES).then(|| Confusion { n_classes, reference: cells.clone(), image: cells })
    }

    /// Counts one sample; one whose label is no class is left out.
    pub fn add(&mut self, label: usize, reference: &[f32], image: &[f32]) {
        for (cells, scores) in [(&mut self.reference, reference), (&mut self.image, image)] {
            let predicted = top1(scores).filter(|&p| p < self.n_classes && label < self.n_classes);
            if let Some(predicted) = predicted {
                cells[label * self.n_classes + predicted] += 1;
            }
        }
    }

    /// The table; `None` when nothing was counted.
    pub fn view(&self, names: &[String]) -> Option<ConfusionView> {
        let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
        let n_samples: u32 = self.image.iter().sum();
        let rows = self.image.chunks(self.n_classes).zip(self.reference.chunks(self.n_classes)).enumerate();
        let rows = rows.map(|(label, (image, reference))| {
            let total: u32 = image.iter().sum();
            let cells = image.iter().zip(reference).enumerate().map(|(predicted, (&n, &float))| ConfusionCell {
                n,
                shade: if total == 0 { 0.0 } else { f64::from(n) / f64::from(total) },
                is_right: label == predicted,
                title: format!(
                    "{} taken for {}: {n} by the image, {float} by the float model",
                    name(label),
                    name(predicted)
                ),
            });
            let recall = if total == 0 { "–".into() } else { percent(f64::from(image[label]) / f64::from(total)) };
            ConfusionRow { label: name(label), cells: cells.collect(), recall }
        });
        let rows = rows.collect();
        (n_samples > 0).then(|| ConfusionView { classes: (0..self.n_classes).map(name).collect(), rows, n_samples })
    }
}

/// For the template.
#[derive(Debug, Serialize)]
pub(super) struct ConfusionView {
    pub classes: Vec<String>,
    pub rows: Vec<ConfusionRow>,
    pub n_samples: u32,
}

/// One true class.
#[derive(Debug, Serialize)]
pub(super) struct ConfusionRow {
    pub label: String,
    pub cells: Vec<ConfusionCell>,
    /// Part of its samples that are found.
    pub recall: String,
}

/// One predicted class.
#[derive(Debug, Serialize)]
pub(super) struct ConfusionCell {
    pub n: u32,
    /// Part of the row, 0 to 1.
    pub shade: f64,
    pub is_right: bool,
    pub title: String,
}

/// A table with more columns cannot be read.
const MOST_CLASSES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_labels_and_columns_predictions() {
        let mut confusion = Confusion::new(2).unwrap();
        confusion.add(0, &[0.9, 0.1], &[0.2, 0.8]);
        confusion.add(1, &[0.1, 0.9], &[0.2, 0.8]);
        confusion.add(7, &[0.1, 0.9], &[0.2, 0.8]);
        let view = confusion.view(&["cat".into()]).unwrap();
        let counts: Vec<Vec<u32>> = view.rows.iter().map(|r| r.cells.iter().map(|c| c.n).collect()).collect();
        assert_eq!(
            (counts, view.n_samples, view.classes),
            (vec![vec![0, 1], vec![0, 1]], 2, vec!["cat".into(), "1".into()])
        );
        assert_eq!(view.rows[0].cells[1].title, "cat taken for 1: 1 by the image, 0 by the float model");
        assert_eq!([&view.rows[0].recall, &view.rows[1].recall], ["0.00 %", "100.00 %"]);
        assert!(Confusion::new(2).unwrap().view(&[]).is_none() && Confusion::new(1000).is_none());
    }
}
