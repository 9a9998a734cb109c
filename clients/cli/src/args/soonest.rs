//! The command that looks for the first free times of several doctors. No behaviour.

use clap::Args;

#[derive(Debug, Args)]
pub struct Soonest {
    /// Beginnings of words of name, specialisation or qualifications; all must fit. Default: every doctor
    pub text: Vec<String>,
    /// Only this specialisation
    #[arg(long, value_name = "NAME")]
    pub specialisation: Option<String>,
    /// Only those who speak it, such as es or pt-BR
    #[arg(long, value_name = "TAG")]
    pub language: Option<String>,
    /// Only services with these words in their name
    #[arg(long, value_name = "WORDS")]
    pub service: Option<String>,
    /// First day: YYYY-MM-DD, today or tomorrow; default: now
    #[arg(long, value_name = "DATE")]
    pub from: Option<String>,
    /// Last day, included; default: 31 days ahead
    #[arg(long, value_name = "DATE")]
    pub to: Option<String>,
    /// How many times to show
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
}
