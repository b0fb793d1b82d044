//! `cargo xtask`: everything this project does to itself, from finding its tools to what CI runs.
#![deny(unsafe_code)]

mod bench;
mod ci;
mod conformance;
mod demo;
mod dist;
mod docs;
mod firmware;
mod kernels;
mod process;
mod program;
mod project;
mod realtime;
mod screenshot;
mod setup;
mod sizes;
mod smoke;
mod stack;
mod symbols;
mod tidy;
mod tinfer;
mod toolchain;
mod zoo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::project::Project;

/// Builds, checks and shows tinfer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find the tools that are not Cargo's, and install what is missing
    Setup(setup::Options),
    /// Convert a model, put it on an emulated Cortex-M4 and classify one picture
    Demo,
    /// Run what CI runs
    Test(ci::Options),
    /// Check the rules that the compiler does not know
    Tidy,
    /// Build the firmware of one board and print where it is
    Firmware(firmware::Options),
    /// Build the stripped `tinfer` binary for a Linux board
    Dist(dist::Options),
    /// Run the test suite of the onnx package and write what passes
    Conformance(conformance::Options),
    /// Measure every model on every emulated board
    Bench(bench::Options),
    /// Show what takes the flash of a program
    Sizes(sizes::Options),
    /// Compute the worst-case stack of every operator, from the linked firmware of every board
    Stack(stack::Options),
    /// Draw the pages of `tinfer verify --report` in a browser, light and dark, wide and narrow
    ReportScreenshot(screenshot::Options),
    /// Rewrite the generated tables of the documentation
    Docs(docs::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = Project::find().and_then(|project| match arguments.task {
        Task::Setup(options) => setup::run(&project, &options),
        Task::Demo => demo::run(&project),
        Task::Test(options) => ci::run(&project, &options),
        Task::Tidy => tidy::run(&project),
        Task::Firmware(options) => firmware::run(&project, &options),
        Task::Dist(options) => dist::run(&project, &options),
        Task::Conformance(options) => conformance::run(&project, &options),
        Task::Bench(options) => bench::run(&project, &options),
        Task::Sizes(options) => sizes::run(&project, &options),
        Task::Stack(options) => stack::run(&project, &options),
        Task::ReportScreenshot(options) => screenshot::run(&project, &options),
        Task::Docs(options) => docs::run(&project, &options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
