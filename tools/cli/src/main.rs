//! The `tinfer` command: reads arguments, calls the libraries, prints what they answer.
#![deny(unsafe_code)]

mod answer;
mod command;
mod device;
mod failure;
mod guard;
mod place;
mod progress;

use answer::{Answer, Format};
use clap::{Args, Parser, Subcommand};
use failure::Failure;
use progress::Patience;
use std::process::ExitCode;

/// ONNX models on Arm boards: convert, verify, run.
#[derive(Parser)]
#[command(name = "tinfer", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    talk: Talk,
}

/// How much to say, and in which form.
#[derive(Args, Clone, Copy)]
struct Talk {
    /// Print one JSON object and nothing else on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Say more on stderr; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Show what is in a model or an image
    Inspect(command::inspect::Options),
    /// Make a model image of an ONNX file
    Convert(command::convert::Options),
    /// Compare an image with its ONNX file: outputs, accuracy, every layer
    Verify(command::verify::Options),
    /// Run a model on one input or many
    Run(command::run::Options),
    /// Measure what each layer costs
    Bench(command::bench::Options),
    /// Put an image on a board
    Flash(command::flash::Options),
    /// List the boards
    Boards,
    /// List the ONNX operators that images can do
    Operators,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Err(help) if help.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            answer::print_error(&help.to_string());
            return ExitCode::from(2);
        }
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            // Without arguments that could be parsed, the flag itself says what form is wanted.
            let format = Format::new(std::env::args().any(|a| a == "--json"));
            return format.fail(&Failure::usage(&error));
        }
        Err(help) => {
            answer::print(&help.to_string());
            return ExitCode::SUCCESS;
        }
    };
    let talk = arguments.talk;
    start_log(talk);
    let format = Format::new(talk.json);
    let mut patience = Patience::new(talk.quiet);
    let outcome = guard::run(|| arguments.command.run(&mut patience));
    patience.end();
    match outcome {
        Ok(answer) if talk.quiet && !talk.json && answer.is_yes() => ExitCode::SUCCESS,
        Ok(answer) => format.succeed(&answer),
        Err(failure) => format.fail(&failure),
    }
}

impl Command {
    fn run(self, patience: &mut Patience) -> Result<Answer, Failure> {
        match self {
            Command::Inspect(options) => command::inspect::run(&options),
            Command::Convert(options) => command::convert::run(&options, patience),
            Command::Verify(options) => command::verify::run(&options, patience),
            Command::Run(options) => command::run::run(&options, patience),
            Command::Bench(options) => command::bench::run(&options),
            Command::Flash(options) => command::flash::run(&options),
            Command::Boards => command::tables::boards(),
            Command::Operators => command::tables::operators(),
        }
    }
}

/// Our own crates only: tract says much that concerns nobody here. `RUST_LOG` overrides.
fn start_log(talk: Talk) {
    let level = match (talk.quiet, talk.verbose) {
        (true, _) => log::LevelFilter::Error,
        (_, 0) => log::LevelFilter::Warn,
        (_, 1) => log::LevelFilter::Info,
        (_, 2) => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(log::LevelFilter::Off)
        .filter_module("tinfer", level)
        .format_target(false)
        .format_timestamp(None);
    builder.parse_default_env().init();
}
