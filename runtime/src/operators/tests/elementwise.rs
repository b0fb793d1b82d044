//! Elementwise operators: golden values, and what bind must refuse.

use super::case::{Case, Tensor};
use super::golden::{Golden, compare, files};
use super::refusals::{check, put};
use crate::kernels::portable::{IntegerFunction, Relation};
use crate::operators::elementwise::comparison::{COMPARE_F32, ComparisonRecord};
use crate::operators::elementwise::integers::{BINARY_BOOL, BINARY_I64, IntegerRecord, POW_I32};
use crate::operators::elementwise::unary_f32::{ELU_F32, UnaryRecord};
use crate::operators::elementwise::{binary_f32, cast, select};
use crate::operators::{ALL, InPlace, Operator};
use crate::tensor::ElementType;
use std::collections::BTreeSet;
use std::string::ToString;
use std::vec::Vec;

/// The step that a file describes.
fn case(operator: &'static Operator, golden: &Golden) -> Case {
    let names = ["i0", "i1", "i2"].into_iter().filter(|name| golden.contains(name));
    let inputs: Vec<Tensor> = names.map(|name| golden.tensor(name, 0)).collect();
    let parameters: Vec<u8> = if golden.contains("numbers") {
        let numbers = golden.numbers("numbers", |v| v as f32);
        UnaryRecord { numbers: [numbers[0], numbers[1]] }.emit().into()
    } else if golden.contains("function") {
        Vec::from([golden.first("function") as u8, 0, 0, 0])
    } else {
        Vec::new()
    };
    Case::new(operator, &inputs, golden.tensor("y", 0), &parameters)
}

/// Integers are exact, plain int8 too.
fn judge(name: &str, case: &Case, found: Vec<u8>) {
    match case.output.element_type {
        ElementType::I8 => assert_eq!(found, case.output.bytes, "{name}"),
        _ => compare(name, &case.output, &found),
    }
}

#[test]
fn operators_agree_with_onnxruntime() {
    let mut seen = BTreeSet::new();
    for path in files("elementwise") {
        let name = path.file_name().unwrap().to_string_lossy().to_string();
        let own = name.split('.').next().unwrap();
        let operator = ALL.iter().find(|o| o.name == own).unwrap_or_else(|| panic!("no operator for {name}"));
        let mut case = case(operator, &Golden::read(&path));
        // With each input in the arena, with a constant operand, and over its own input where the operator bears it.
        judge(&name, &case, case.run().unwrap_or_else(|e| panic!("{name}: {e}")));
        if case.inputs[0].element_type == case.output.element_type && case.inputs[0].shape == case.output.shape {
            let over = Case { in_place: Some(0), ..case.clone() };
            match (operator.in_place, over.run()) {
                (InPlace::SameRange, found) => judge(&name, &case, found.unwrap()),
                (_, found) => assert!(found.unwrap_err().to_string().contains("overlaps"), "{name}"),
            }
        }
        if let Some(second) = case.inputs.get_mut(1) {
            second.is_constant = true;
            judge(&name, &case, case.run().unwrap());
        }
        seen.insert(operator.code);
    }
    let all = ALL.iter().filter(|o| (0x0300..0x0400).contains(&o.code));
    let missing: Vec<&str> = all.filter(|o| !seen.contains(&o.code)).map(|o| o.name).collect();
    assert!(missing.is_empty(), "no golden values for {missing:?}");
}

#[test]
fn steps_that_make_no_sense_are_refused() {
    let x = Tensor::f32(&[2, 3], &[-1.0; 6]);
    let record = UnaryRecord { numbers: [1.0, 0.0] };
    check(
        &Case::new(&ELU_F32, core::slice::from_ref(&x), x.clone(), &record.emit()),
        &[
            ("its parameters are missing", |c| c.parameters.truncate(4)),
            ("its parameters are not finite", |c| put(c, 4, &f32::NAN.to_le_bytes())),
            ("its input and output differ in size", |c| c.output.shape = Vec::from([5])),
            ("an input has the wrong element type", |c| c.inputs[0].element_type = ElementType::I32),
        ],
    );
    let pairs = "its operands do not broadcast to its output";
    let slopes = Tensor::f32(&[3], &[0.5; 3]);
    check(
        &Case::new(&binary_f32::PRELU_F32, &[x.clone(), slopes.clone()], x.clone(), &[]),
        &[(pairs, |c| c.inputs[1].shape = Vec::from([2])), ("an input is missing", |c| c.inputs.truncate(1))],
    );
    let truths = Tensor::plain(ElementType::Bool, &[2, 3], &[1u8; 6]);
    check(
        &Case::new(
            &COMPARE_F32,
            &[x.clone(), slopes],
            truths.clone(),
            &ComparisonRecord { relation: Relation::Less }.emit(),
        ),
        &[
            ("unknown relation", |c| put(c, 0, &[4])),
            (pairs, |c| c.output.shape = Vec::from([3, 2])),
            ("an output has the wrong element type", |c| c.output.element_type = ElementType::U8),
        ],
    );
    let record = IntegerRecord { function: IntegerFunction::Xor };
    check(
        &Case::new(&BINARY_BOOL, &[truths.clone(), truths.clone()], truths.clone(), &record.emit()),
        &[("truths have no arithmetic", |c| put(c, 0, &[0])), ("unknown function", |c| put(c, 0, &[11]))],
    );
    let longs = Tensor::plain(ElementType::I64, &[2, 3], &[7i64; 6]);
    check(
        &Case::new(&BINARY_I64, &[longs.clone(), longs.clone()], longs.clone(), &record.emit()),
        &[("an input has the wrong element type", |c| c.inputs[1].element_type = ElementType::F32)],
    );
    let ints = Tensor::plain(ElementType::I32, &[2, 3], &[7i32; 6]);
    check(
        &Case::new(&POW_I32, &[ints.clone(), x.clone()], ints, &[]),
        &[("an input has the wrong element type", |c| c.inputs[1].element_type = ElementType::U8)],
    );
    check(
        &Case::new(&select::WHERE_B8, &[truths.clone(), longs.clone(), longs.clone()], longs.clone(), &[]),
        &[
            (pairs, |c| c.inputs[0].shape = Vec::from([6])),
            ("an output has the wrong element type", |c| c.output.element_type = ElementType::F32),
            ("its operands differ in their quantization", |c| c.inputs[2].quantization.zero_point = 1),
        ],
    );
    check(
        &Case::new(&cast::CAST_TO_I64, &[x], longs, &[]),
        &[
            ("its input and output differ in size", |c| c.output.shape = Vec::from([5])),
            ("an input has the wrong element type", |c| c.inputs[0].element_type = ElementType::I16),
        ],
    );
}
