SELECT seq FROM runs WHERE worker = ? AND cancel_asked = 1
