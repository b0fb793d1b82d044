//! Pad with a list of axes (operator set 18): rewritten without, because tract's shape inference
//! leaves the axes that are not listed unknown.

use super::Fact;
use crate::array::{Array, ArrayData};
use std::collections::BTreeMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

/// Gives every Pad whose operand has a known rank pads for all axes. Whether it found one: then
/// shapes behind it can be found now.
pub(super) fn spell_out_axes(
    proto: &mut ModelProto,
    facts: &BTreeMap<String, Fact>,
    weights: &mut BTreeMap<String, Array>,
) -> bool {
    let Some(graph) = &mut proto.graph else { return false };
    let mut changed = false;
    for node in graph.node.iter_mut().filter(|n| n.op_type == "Pad" && n.domain.is_empty() && n.input.len() == 4) {
        let integers = |name: &str| match facts.get(name).and_then(|f| f.value.as_ref()).map(|a| &a.data) {
            Some(ArrayData::I64(v)) => Some(v.clone()),
            Some(ArrayData::I32(v)) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            _ => None,
        };
        let rank = facts.get(&node.input[0]).map(|f| f.shape.len() as i64);
        let (Some(rank), Some(pads), Some(axes)) = (rank, integers(&node.input[1]), integers(&node.input[3])) else {
            continue;
        };
        let Some(all) = for_all_axes(rank, &pads, &axes) else { continue };
        let name = format!("{}/pads", node.output.first().map_or("", |o| &**o));
        let raw_data = all.iter().flat_map(|x| x.to_le_bytes()).collect();
        let dims = vec![all.len() as i64];
        graph.initializer.push(TensorProto {
            name: name.clone(),
            dims,
            data_type: DataType::Int64 as i32,
            raw_data,
            ..Default::default()
        });
        weights.insert(name.clone(), Array::new(vec![all.len()], ArrayData::I64(all)));
        node.input[1] = name;
        node.input.truncate(3);
        changed = true;
    }
    changed
}

/// Pads before all axes, then after all axes. `None` for lists that do not fit: they stay and are refused.
fn for_all_axes(rank: i64, pads: &[i64], axes: &[i64]) -> Option<Vec<i64>> {
    let n = axes.len();
    if pads.len() != 2 * n {
        return None;
    }
    let mut all = vec![0; 2 * rank as usize];
    for (i, &axis) in axes.iter().enumerate() {
        let axis = if axis < 0 { axis + rank } else { axis };
        if !(0..rank).contains(&axis) {
            return None;
        }
        all[axis as usize] = pads[i];
        all[(axis + rank) as usize] = pads[i + n];
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_are_put_in_their_places() {
        assert_eq!(for_all_axes(3, &[1, 2, 3, 4], &[-1, 0]), Some(vec![2, 0, 1, 4, 0, 3]));
        assert_eq!(for_all_axes(3, &[1, 2, 3], &[0, 1]), None);
        assert_eq!(for_all_axes(3, &[1, 2], &[3]), None);
    }
}
