//! Fields of forms: label, control and hint. After a refusal a field has its entered value again, and the field that the
//! message is about refers to the message.

use leptos::prelude::*;

use super::frame::Here;
use super::text::escaped;

/// The id of the message of the last action, at the top of every page.
pub const NOTICE_TEXT: &str = "notice-text";

/// The attributes that connect a control with its label, its hint and the message about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldAttributes {
    /// The id of the control, for its label.
    pub id: String,
    /// The ids of the texts that describe it.
    pub described_by: Option<String>,
    /// `true` if the message of the refused form is about it.
    pub invalid: Option<&'static str>,
}

impl FieldAttributes {
    /// The attributes of the field `name` of `form`, whose control has this id. If there is a hint, its id is
    /// [`hint_id`].
    pub fn new(here: &Here, form: &str, name: &str, id: String, has_hint: bool) -> FieldAttributes {
        let is_invalid = here.is_invalid(form, name);
        let texts = [is_invalid.then(|| NOTICE_TEXT.to_owned()), has_hint.then(|| hint_id(&id))];
        let texts: Vec<String> = texts.into_iter().flatten().collect();
        FieldAttributes {
            described_by: (!texts.is_empty()).then(|| texts.join(" ")),
            invalid: is_invalid.then_some("true"),
            id,
        }
    }
}

/// The id of the hint of the control with this id.
pub fn hint_id(control: &str) -> String {
    format!("{control}:hint")
}

/// A field: the label, the control that `control` makes with its attributes, and the hint (empty for none).
pub fn field(
    here: &Here,
    form: &str,
    name: &str,
    label: &str,
    hint: &str,
    control: impl FnOnce(FieldAttributes) -> AnyView,
) -> AnyView {
    let id = format!("{form}:{name}");
    let attributes = FieldAttributes::new(here, form, name, id.clone(), !hint.is_empty());
    let hint = (!hint.is_empty()).then(|| {
        let hint = hint.to_owned();
        view! { <span class="field__hint" id=hint_id(&id)>{hint}</span> }
    });
    view! {
        <div class="field">
            <label for=id.clone()>{label.to_owned()}</label>
            {control(attributes)}
            {hint}
        </div>
    }
    .into_any()
}

/// A labelled text field, filled with the value of a refused form.
pub fn text_field(
    here: &Here,
    form: &str,
    name: &'static str,
    label: &str,
    hint: &str,
    required: bool,
) -> AnyView {
    field(here, form, name, label, hint, |attributes| {
        view! {
            <input
                type="text"
                id=attributes.id
                name=name
                value=here.draft(form, name)
                required=required
                autocomplete="off"
                aria-describedby=attributes.described_by
                aria-invalid=attributes.invalid
            />
        }
        .into_any()
    })
}

/// A labelled text area for a few sentences, filled with the value of a refused form.
pub fn note_field(
    here: &Here,
    form: &str,
    name: &'static str,
    label: &str,
    hint: &str,
    required: bool,
) -> AnyView {
    field(here, form, name, label, hint, |attributes| {
        view! {
            <textarea
                id=attributes.id
                name=name
                rows="3"
                required=required
                aria-describedby=attributes.described_by
                aria-invalid=attributes.invalid
            >
                // The view macro does not escape the text of a textarea.
                {escaped(&here.draft(form, name))}
            </textarea>
        }
        .into_any()
    })
}

/// The password field of actions that require the password again, such as a sign-off.
pub fn password_field(here: &Here, form: &str) -> AnyView {
    field(here, form, "password", "Confirm with your password", "", |attributes| {
        view! {
            <input
                type="password"
                id=attributes.id
                name="password"
                required=true
                autocomplete="current-password"
                aria-describedby=attributes.described_by
                aria-invalid=attributes.invalid
            />
        }
        .into_any()
    })
}
