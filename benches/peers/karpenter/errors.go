package main

import (
	"errors"
	"fmt"
)

// badInput is what somebody who wrote a file can put right.
type badInput struct{ error }

func bad(format string, values ...any) error {
	return badInput{fmt.Errorf(format, values...)}
}

func isBad(err error) bool {
	var one badInput
	return errors.As(err, &one)
}
