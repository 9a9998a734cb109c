//! Writes the table of `docs/ACCESS.md` from the policy: every cell is what `authorise` answers. `cargo xtask generate`
//! runs it.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cita::domain::access::{self, Object, POLICY, Tier};
use cita::domain::account::{Identity, Role, Viewer};
use cita::domain::ids::{SessionId, UserId};
use cita::domain::refusal::Refusal;
use jiff::Timestamp;
use uuid::Uuid;

const BEGIN: &str = "<!-- policy:begin -->\n";
const END: &str = "<!-- policy:end -->";

fn main() -> Result<(), Box<dyn Error>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ACCESS.md");
    let text = fs::read_to_string(&page)?;
    let (head, rest) = text.split_once(BEGIN).ok_or("docs/ACCESS.md has no table to write")?;
    let (_, tail) = rest.split_once(END).ok_or("the table of docs/ACCESS.md has no end")?;
    fs::write(page, format!("{head}{BEGIN}{}{END}{tail}", table()?))?;
    Ok(())
}

fn table() -> Result<String, std::fmt::Error> {
    let [doctor, patient, staff, stranger] = [1, 2, 3, 4].map(|id| UserId(Uuid::from_u128(id)));
    let acting = [staff];
    let object = Object::between(doctor, patient).with_staff(&acting);
    let callers = [
        ("nobody", Viewer::Anonymous),
        ("its patient", user(patient, Role::Patient)),
        ("another patient", user(stranger, Role::Patient)),
        ("its doctor", user(doctor, Role::Doctor)),
        ("another doctor", user(stranger, Role::Doctor)),
        ("its staff", user(staff, Role::Staff)),
        ("other staff", user(stranger, Role::Staff)),
        ("admin", user(stranger, Role::Admin)),
    ];
    let mut table = String::from("| | tier |");
    for (name, _) in &callers {
        write!(table, " {name} |")?;
    }
    writeln!(table, "\n|---|---|{}", "---|".repeat(callers.len()))?;
    for rule in POLICY {
        let tier = match rule.tier {
            Tier::Public => "public",
            Tier::Optional => "optional",
            Tier::Protected => "protected",
        };
        write!(table, "| `{}` | {tier} |", rule.operation)?;
        for (_, viewer) in &callers {
            let verdict = match access::authorise(rule.operation, viewer, object) {
                Ok(()) => "✓",
                Err(Refusal::Unauthenticated) => "401",
                Err(Refusal::NotFound) => "hidden",
                Err(_) => "refused",
            };
            write!(table, " {verdict} |")?;
        }
        writeln!(table)?;
    }
    Ok(table)
}

fn user(user: UserId, role: Role) -> Viewer {
    let session = SessionId(Uuid::nil());
    Viewer::User(Identity { user, session, role, name: String::new(), expires_at: Timestamp::MAX })
}
