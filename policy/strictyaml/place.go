package strictyaml

import "slices"

// Place is a value in a document. It is made for every value that is looked at, so
// that it must not need memory of its own. The zero value is nowhere.
type Place struct {
	doc   *Document
	depth int
	steps [12]any // the deepest value of a webhook has nine
}

// At returns the place of a value that is found from the root of the document by
// the steps: keys are strings, places in a list ints.
func (d *Document) At(steps ...any) Place { return Place{doc: d}.At(steps...) }

// At returns the place of a part of the value.
func (p Place) At(steps ...any) Place {
	p.depth += copy(p.steps[p.depth:], steps)
	return p
}

// Path leads to the value from the root of its document.
func (p Place) Path() Path { return slices.Clone(p.steps[:p.depth]) }

// Step returns step i of the path, and nil if it is not that long.
func (p Place) Step(i int) any {
	if i < p.depth {
		return p.steps[i]
	}
	return nil
}

// Document returns the document that the value is in.
func (p Place) Document() *Document { return p.doc }

// File returns the name of the document's file.
func (p Place) File() string { return p.doc.File }

// Error returns an error at the value.
func (p Place) Error(message string) Error { return p.doc.Error(p.Path(), message) }

// String writes file:line:col.
func (p Place) String() string { return p.Error("").Position() }

// Faults collects errors of several documents. It is not safe for concurrent use.
type Faults struct {
	// errs has an empty error for each that is not reported, because its file
	// has more than enough, or it follows from another.
	errs  Errors
	count map[*Document]int
	// Follows, if it is not nil, tells errors that only follow from others, which
	// were reported already.
	Follows func(Place) bool
}

// Fail takes down that the value is wrong.
func (f *Faults) Fail(p Place, message string) {
	if f.count == nil {
		f.count = map[*Document]int{}
	}
	if f.Follows != nil && f.Follows(p) {
		f.errs = append(f.errs, Error{})
		return
	}
	switch n := f.count[p.doc]; {
	case n < MaxErrors:
		f.errs = append(f.errs, p.Error(message))
	case n == MaxErrors:
		e := p.Error(TooMany)
		e.Path = ""
		f.errs = append(f.errs, e)
	default:
		f.errs = append(f.errs, Error{})
	}
	f.count[p.doc]++
}

// Len returns how often Fail was called.
func (f *Faults) Len() int { return len(f.errs) }

// Errors returns what is to be reported.
func (f *Faults) Errors() Errors {
	var errs Errors
	for _, e := range f.errs {
		if e != (Error{}) {
			errs = append(errs, e)
		}
	}
	return errs
}
