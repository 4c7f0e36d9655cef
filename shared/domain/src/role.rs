//! What each role may do: one small table.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::code::{UnknownCode, codes};

codes!(
    /// What a worker is, by the code the directory carries.
    Role, "the roles" {
        /// Recovery worker: carries cases.
        RecoveryWorker = "recovery-worker", "Recovery worker";
        /// Senior recovery worker: oversees a team.
        Senior = "senior", "Senior recovery worker";
        /// Coordinator of a line or a shift.
        Coordinator = "coordinator", "Coordinator";
        /// Registered practitioner.
        Practitioner = "practitioner", "Practitioner";
        /// Bank worker: runs sessions, gives individual support.
        BankWorker = "bank-worker", "Bank worker";
        /// Administrator: registers people, plans sessions; writes no case notes.
        Admin = "admin", "Administrator";
    }
);

codes!(
    /// Something a role may or may not do.
    Power, "the powers" {
        /// Open a case, record who the person is, keep tasks, themes and plain fields.
        Register = "register", "register people and keep their details";
        /// Write case notes, plans and outcome totals.
        WriteNotes = "write-notes", "write in a case";
        /// Raise a safety alert.
        RaiseAlert = "raise-alert", "raise a safety alert";
        /// Review a safety alert, which may clear it.
        ReviewAlert = "review-alert", "review a safety alert";
        /// Move a case between open, waiting, paused and closed; set its review date.
        SteerCase = "steer-case", "change a case's status or review date";
        /// Make somebody else the lead worker.
        AssignLead = "assign-lead", "assign a lead worker";
        /// Become the lead worker.
        TakeLead = "take-lead", "take the lead of a case";
        /// Hand a case over to another site.
        TransferCase = "transfer-case", "transfer a case to another site";
        /// Plan a session.
        PlanSession = "plan-session", "plan a session";
        /// Keep a session's register, cash, checklist and notes.
        RunSession = "run-session", "keep a session's register and cash";
    }
);

impl Role {
    /// Whether this role has that power.
    ///
    /// Raising an alert is everybody's: whoever learns of a danger must be able to say so.
    /// Clearing one is for those who know the person's case.
    pub fn may(self, power: Power) -> bool {
        use Role::{Admin, BankWorker, Coordinator, Practitioner, RecoveryWorker, Senior};
        match power {
            Power::RaiseAlert | Power::Register | Power::PlanSession => true,
            Power::WriteNotes | Power::RunSession => self != Admin,
            Power::ReviewAlert | Power::TakeLead => {
                matches!(self, RecoveryWorker | Senior | Coordinator | Practitioner)
            }
            Power::SteerCase => self != BankWorker,
            Power::TransferCase => matches!(self, Senior | Coordinator),
            Power::AssignLead => matches!(self, Senior | Coordinator | Admin),
        }
    }
}
